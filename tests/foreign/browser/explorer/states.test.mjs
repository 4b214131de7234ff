// The explorer with failing calls, on a phone, and with the keyboard.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { before, test } from "node:test";
import { heading, inspect, make, node, rest, signedIn, status, tree, url } from "./support.mjs";

const LISTS = "**/overplane.setup.v1.CustomerGroupService/ListCustomerGroups";
const UPDATES = "**/overplane.setup.v1.CustomerGroupService/UpdateCustomerGroup";

let all, wholesale, exported;
before(async () => {
  all = await make("All customers", { is_group: true });
  await make("Retail", { parent_id: all.id, is_group: true });
  await make("Online shops", { parent_id: all.id, is_group: true });
  wholesale = await make("Wholesale", { parent_id: all.id, is_group: true, payment_terms: "Net 30" });
  await make("Benelux", { parent_id: wholesale.id });
  exported = await make("Export", {
    parent_id: wholesale.id,
    is_group: true,
    default_price_list: "Export 2026, EUR",
    payment_terms: "Net 45",
    parent_customer_group: "CRM-0417",
  });
  await make("Domestic", { parent_id: wholesale.id });
  for (const name of ["Overseas", "Switzerland", "United Kingdom"]) await make(name, { parent_id: exported.id });
});

const active = (page) =>
  page.evaluate(() => {
    const id = document.querySelector("[role=tree]").getAttribute("aria-activedescendant");
    return document.getElementById(id)?.getAttribute("aria-label");
  });

test("the keys work as the ARIA tree view pattern requires", async (t) => {
  const page = await signedIn(t);
  await node(page, "All customers").waitFor();
  await tree(page).focus();
  const activeAfter = async (key) => {
    await page.keyboard.press(key);
    return active(page);
  };
  assert.equal(await activeAfter("Home"), "All customers");
  assert.equal(await node(page, "All customers").getAttribute("aria-expanded"), "false");
  await page.keyboard.press("ArrowRight");
  await node(page, "Retail").waitFor();
  assert.equal(await active(page), "All customers, 3 children");
  assert.equal(await activeAfter("ArrowRight"), "Wholesale");
  const attribute = (name) => node(page, "Wholesale").getAttribute(name);
  assert.deepEqual([await attribute("aria-level"), await attribute("aria-setsize"), await attribute("aria-posinset")], ["2", "3", "1"]);
  assert.equal(await activeAfter("ArrowDown"), "Online shops");
  assert.equal(await activeAfter("End"), "Retail");
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => !document.querySelector("[aria-label='Retail']").hasAttribute("aria-expanded"));
  assert.equal(await activeAfter("ArrowUp"), "Online shops");
  assert.equal(await activeAfter("ArrowLeft"), "All customers, 3 children");
  await page.keyboard.press("Enter");
  await heading(page, "All customers").waitFor();
  assert.equal(await activeAfter("ArrowLeft"), "All customers");
  assert.equal(await node(page, "Retail").count(), 0);
  await page.keyboard.press("/");
  assert.ok(await page.getByRole("combobox", { name: "Search by name" }).evaluate((field) => field === document.activeElement));
  await page.keyboard.press("Escape");
  assert.ok(await tree(page).evaluate((element) => element === document.activeElement));
});

test("only the results for the last search text are shown", async (t) => {
  const page = await signedIn(t);
  let requests = 0;
  await page.route(LISTS, async (route) => {
    requests += 1;
    // The first request never gets a response.
    if (requests > 1) await route.continue();
  });
  const field = page.getByRole("combobox", { name: "Search by name" });
  const first = page.waitForRequest(LISTS);
  await field.fill("retail");
  await first;
  const cancelled = page.waitForEvent("requestfailed", (request) => request.url().endsWith("/ListCustomerGroups"));
  await field.fill("export");
  assert.equal(await cancelled, await first);
  await page.getByRole("option", { name: "Export" }).waitFor();
  await field.fill("no such name");
  await page.getByText("No group name contains this text.").waitFor();
  await inspect(page, "nothing-found");
  await page.keyboard.press("Escape");
  await node(page, "All customers").waitFor();
});

test("an unreachable service is reported, and unsaved changes are kept until it is back", async (t) => {
  const page = await signedIn(t, { at: `#/${wholesale.id}` });
  await page.getByLabel("Payment terms").fill("Net 31");
  await page.route("**/overplane.*/**", (route) => route.abort());
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The service cannot be reached. Loaded data").waitFor();
  await inspect(page, "unreachable");
  await page.unroute("**/overplane.*/**");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("Loaded data").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Save" }).click();
  await status(page, "was saved").waitFor();
  assert.equal((await rest("GET", `/${wholesale.id}`)).payment_terms, "Net 31");
});

test("an offline page says so and recovers when it is online again", async (t) => {
  const page = await signedIn(t);
  await page.context().setOffline(true);
  await page.getByText("You are offline.").waitFor();
  await inspect(page, "offline");
  await page.context().setOffline(false);
  await page.getByText("You are offline.").waitFor({ state: "detached" });
  await node(page, "All customers").waitFor();
});

test("a list that failed to load shows the reason and can be retried", async (t) => {
  const page = await signedIn(t);
  await node(page, "All customers").waitFor();
  const headers = { "content-type": "application/grpc-web+proto", "grpc-status": "13", "grpc-message": "it broke" };
  await page.route(LISTS, (route) => route.fulfill({ status: 200, headers, body: "" }));
  await page.getByRole("button", { name: "Refresh" }).click();
  await page.getByText("It broke.").waitFor();
  await inspect(page, "error");
  await page.unroute(LISTS);
  await page.getByText("Try again").click();
  await node(page, "All customers").waitFor();
});

test("a rejected read is retried after the delay that the service asks for", async (t) => {
  const page = await signedIn(t);
  await node(page, "All customers").waitFor();
  // A google.rpc.Status with a RetryInfo of one second.
  const details = "CAgSDnRvbyBtYW55IGNhbGxzGjAKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBAoCCAE";
  const headers = {
    "content-type": "application/grpc-web+proto",
    "grpc-status": "8",
    "grpc-message": "too many calls",
    "grpc-status-details-bin": details,
  };
  let calls = 0;
  let onRetry;
  const retried = new Promise((resolve) => (onRetry = resolve));
  await page.route(LISTS, async (route) => {
    calls += 1;
    if (calls === 1) return route.fulfill({ status: 200, headers, body: "" });
    onRetry();
    await route.continue();
  });
  await page.getByRole("button", { name: "Refresh" }).click();
  await retried;
  await node(page, "All customers").waitFor();
  assert.equal(calls, 2);
});

test("a rejected edit shows what to do and can be retried", async (t) => {
  const page = await signedIn(t, { at: `#/${all.id}` });
  await page.getByLabel("Payment terms").fill("Net 1");
  const headers = { "content-type": "application/grpc-web+proto", "grpc-status": "14", "grpc-message": "the database is unavailable" };
  await page.route(UPDATES, (route) => route.fulfill({ status: 200, headers, body: "" }));
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("Try again in a second").waitFor();
  await inspect(page, "unavailable");
  await page.unroute(UPDATES);
  await page.getByRole("button", { name: "Save" }).click();
  await status(page, "was saved").waitFor();
});

test("a key that is revoked during use leads back to the sign-in form, with the reason and without losing drafts", async (t) => {
  const keys = (...command) => execFileSync(process.env.BINARY, ["keys", ...command], { encoding: "utf8" }).trim();
  const short = keys("create", "--name", "short-lived");
  const page = await signedIn(t, { as: short, at: `#/${all.id}` });
  await page.getByLabel("Default price list").fill("Draft");
  const [, id] = keys("list").match(/(key_\S+)\s+.*short-lived/);
  keys("revoke", id);
  await page.getByLabel("API key").waitFor({ state: "detached" });
  for (let isSignedOut = false; !isSignedOut; ) {
    await page.getByRole("button", { name: "Refresh" }).click({ timeout: 1_000 }).catch(() => {});
    isSignedOut = await page.getByRole("alert").getByText("revoked").isVisible();
  }
  await inspect(page, "revoked");
  await page.getByLabel("API key").fill(process.env.KEY);
  await page.keyboard.press("Enter");
  await heading(page, "All customers").waitFor();
  assert.equal(await page.getByLabel("Default price list").inputValue(), "Draft");
});

test("a phone shows either the tree or a group", async (t) => {
  const page = await signedIn(t, { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true });
  await node(page, "All customers").waitFor();
  await inspect(page, "phone-tree");
  await node(page, "All customers").tap();
  await heading(page, "All customers").waitFor();
  assert.equal(await tree(page).isVisible(), false);
  await inspect(page, "phone-detail");
  await page.getByRole("button", { name: "Tree" }).tap();
  await tree(page).waitFor();
  assert.equal(page.url(), `${url}/#/`);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(width, 390);
});

test("screenshots of normal use", async (t) => {
  const page = await signedIn(t, { at: `#/${exported.id}`, viewport: { width: 1080, height: 720 } });
  await page.locator(".row.is-chosen").waitFor();
  await tree(page).focus();
  await page.keyboard.press("ArrowRight");
  await node(page, "Overseas").waitFor();
  await inspect(page, "explorer");
  await page.setViewportSize({ width: 390, height: 780 });
  await inspect(page, "phone");
});
