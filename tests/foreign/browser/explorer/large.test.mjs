// The explorer with a million groups, 100,000 below each of ten roots: network use and navigation.

import assert from "node:assert/strict";
import { test } from "node:test";
import { heading, inspect, make, node, rest, signedIn, signIn, tree, url, visit } from "./support.mjs";

const CALLS = "/overplane.setup.v1.CustomerGroupService/";

// Counts the calls and bytes of a page from now on, without the HTTP cache.
async function countTraffic(page) {
  const seen = { calls: 0, bytes: 0 };
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  session.on("Network.requestWillBeSent", ({ request }) => {
    if (new URL(request.url).pathname.startsWith(CALLS)) seen.calls += 1;
  });
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (seen.bytes += encodedDataLength));
  return seen;
}

test("the first view of a million groups needs at most three calls and 200 kB", async (t) => {
  const page = await visit(t);
  const seen = await countTraffic(page);
  await page.reload();
  await signIn(page);
  await node(page, "Root 1").waitFor();
  await page.waitForLoadState("networkidle");
  t.diagnostic(`${seen.calls} calls, ${seen.bytes} bytes`);
  assert.ok(seen.calls <= 3 && seen.bytes <= 200_000, JSON.stringify(seen));

  const before = { ...seen };
  await tree(page).focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  await page.getByRole("treeitem", { name: /^Root \d+, 99,999 children$/ }).waitFor();
  await node(page, "Group").waitFor();
  await page.waitForLoadState("networkidle");
  assert.equal(seen.calls - before.calls, 1);
  assert.ok(await page.getByRole("treeitem").count() < 100);
});

test("a hundred thousand children can be scrolled, skipped and reached to the last one", async (t) => {
  const page = await signedIn(t);
  await node(page, "Root 1").waitFor();
  await tree(page).focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  await node(page, "Group").waitFor();
  const first = page.getByRole("treeitem", { level: 2 }).first();
  assert.equal(await first.getAttribute("aria-setsize"), "99999");
  await tree(page).evaluate((element) => (element.scrollTop = element.scrollHeight / 2));
  await page.waitForFunction(() => {
    const [first] = document.querySelectorAll("[role=treeitem][aria-level='2']");
    return Number(first?.getAttribute("aria-posinset")) > 1_000 && !document.querySelector(".tree .skeleton");
  });
  const shown = await page.getByRole("treeitem", { level: 2 }).evaluateAll((rows) =>
    rows.map((row) => [Number(row.getAttribute("aria-posinset")), row.getAttribute("aria-label")]),
  );
  const numbers = shown.map(([, name]) => Number(name.split(" ")[1]));
  assert.ok(shown[0][0] > 10_000, String(shown[0]));
  // Names are numbered in the order of creation; the list is newest first.
  numbers.forEach((number, index) => index > 0 && assert.ok(number < numbers[index - 1]));
  await inspect(page, "large");
  await tree(page).focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("End");
  await page.keyboard.press("ArrowRight");
  await page.getByRole("treeitem", { name: "99,999 children" }).waitFor();
  await page.keyboard.press("End");
  await page.locator(".row.is-active[aria-posinset='99999'][draggable=true]").waitFor();

  const { data } = await rest("GET", "?parent_id=null&limit=1");
  const page70001 = await rest("GET", `/${data[0].id}/children?limit=1&offset=70000`);
  await page.goto(`${url}/#/${page70001.data[0].id}`);
  await heading(page, page70001.data[0].customer_group_name).waitFor();
  const row = page.getByRole("treeitem", { name: page70001.data[0].customer_group_name, exact: true });
  await row.waitFor();
  assert.equal(await row.getAttribute("aria-posinset"), "70001");
  assert.ok(await row.evaluate((element) => element.getBoundingClientRect().top < innerHeight));
});

test("groups that other clients create are counted when the next page is loaded", async (t) => {
  const { data } = await rest("GET", "?parent_id=null&limit=1");
  const page = await signedIn(t);
  await tree(page).focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  await page.getByRole("treeitem", { name: "99,999 children" }).waitFor();
  const created = [];
  for (const name of ["First", "Second", "Third"]) created.push(await make(name, { parent_id: data[0].id }));
  await tree(page).evaluate((element) => (element.scrollTop = element.scrollHeight / 2));
  await page.locator("[role=treeitem][aria-setsize='100002']").first().waitFor();
  await tree(page).evaluate((element) => (element.scrollTop = 0));
  await node(page, "Third").waitFor();
  assert.equal(await node(page, "Third").getAttribute("aria-posinset"), "1");
  for (const { id } of created) await rest("DELETE", `/${id}`);
});

test("a search finds a name among a million groups", async (t) => {
  const page = await signedIn(t);
  await page.getByRole("combobox", { name: "Search by name" }).fill("group 77777");
  await page.getByRole("option", { name: /^Group 77777\b/ }).first().waitFor();
  await page.getByRole("option").first().click();
  await heading(page, /^Group 77777/).waitFor();
  await page.locator(".row.is-chosen").waitFor();
});
