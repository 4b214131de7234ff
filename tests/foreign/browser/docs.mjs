// Enters an API key on the API documentation page, executes a create and a list, and prints the responses and the origins
// of all requests.

import { withPage } from "./chromium.mjs";

const [url, key] = process.argv.slice(2);
await withPage(async (page) => {
  const origins = new Set();
  page.on("request", (request) => {
    if (request.url().startsWith("http")) origins.add(new URL(request.url()).origin);
  });
  await page.goto(`${url}/docs`);
  await page.getByRole("button", { name: "Authorize" }).first().click();
  await page.getByLabel("auth-bearer-value").fill(key);
  await page.getByRole("button", { name: "Apply credentials" }).click();
  await page.getByRole("button", { name: "Close" }).first().click();

  const execute = async (operation) => {
    const block = page.locator(`[id$="${operation}"]`);
    await block.locator(".opblock-summary-control").click();
    await block.getByRole("button", { name: "Execute" }).click();
    const response = block.locator(".live-responses-table .response").first();
    const status = await response.locator(".response-col_status").innerText();
    return { status: status.trim(), body: await response.locator("pre").first().innerText() };
  };
  const created = await execute("createCustomerGroup");
  const listed = await execute("listCustomerGroups");
  return { created, listed, operations: await page.locator(".opblock").count(), origins: [...origins] };
});
