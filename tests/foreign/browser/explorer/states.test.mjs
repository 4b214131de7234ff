// What the explorer shows when not all is well, on a phone, and to those who use the keyboard.

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

test("the keys of a tree view do what its pattern says", async (t) => {
  const page = await signedIn(t);
  await node(page, "All customers").waitFor();
  await tree(page).focus();
  const after = async (key) => {
    await page.keyboard.press(key);
    return active(page);
  };
  assert.equal(await after("Home"), "All customers");
  assert.equal(await node(page, "All customers").getAttribute("aria-expanded"), "false");
  await page.keyboard.press("ArrowRight");
  await node(page, "Retail").waitFor();
  assert.equal(await active(page), "All customers 3 below");
  assert.equal(await after("ArrowRight"), "Wholesale");
  const place = (name) => node(page, "Wholesale").getAttribute(name);
  assert.deepEqual([await place("aria-level"), await place("aria-setsize"), await place("aria-posinset")], ["2", "3", "1"]);
  assert.equal(await after("ArrowDown"), "Online shops");
  assert.equal(await after("End"), "Retail");
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => !document.querySelector("[aria-label='Retail']").hasAttribute("aria-expanded"));
  assert.equal(await after("ArrowUp"), "Online shops");
  assert.equal(await after("ArrowLeft"), "All customers 3 below");
  await page.keyboard.press("Enter");
  await heading(page, "All customers").waitFor();
  assert.equal(await after("ArrowLeft"), "All customers");
  assert.equal(await node(page, "Retail").count(), 0);
  await page.keyboard.press("/");
  assert.ok(await page.getByRole("combobox", { name: "Search by name" }).evaluate((field) => field === document.activeElement));
  await page.keyboard.press("Escape");
  assert.ok(await tree(page).evaluate((element) => element === document.activeElement));
});

test("only the answer to what was typed last is shown", async (t) => {
  const page = await signedIn(t);
  let asked = 0;
  await page.route(LISTS, async (route) => {
    asked += 1;
    // The first one is never answered.
    if (asked > 1) await route.continue();
  });
  const field = page.getByRole("combobox", { name: "Search by name" });
  const first = page.waitForRequest(LISTS);
  await field.fill("retail");
  await first;
  const givenUp = page.waitForEvent("requestfailed", (request) => request.url().endsWith("/ListCustomerGroups"));
  await field.fill("export");
  assert.equal(await givenUp, await first);
  await page.getByRole("option", { name: "Export" }).waitFor();
  await field.fill("no such name");
  await page.getByText("No group has this in its name.").waitFor();
  await inspect(page, "nothing-found");
  await page.keyboard.press("Escape");
  await node(page, "All customers").waitFor();
});

test("a service that is away is told of, and what was entered is kept until it is back", async (t) => {
  const page = await signedIn(t, { at: `#/${wholesale.id}` });
  await page.getByLabel("Payment terms").fill("Net 31");
  await page.route("**/overplane.*/**", (route) => route.abort());
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The service cannot be reached. What was loaded").waitFor();
  await inspect(page, "unreachable");
  await page.unroute("**/overplane.*/**");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("What was loaded").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Save" }).click();
  await status(page, "was saved").waitFor();
  assert.equal((await rest("GET", `/${wholesale.id}`)).payment_terms, "Net 31");
});

test("a page that is offline says so, and goes on when it is not", async (t) => {
  const page = await signedIn(t);
  await page.context().setOffline(true);
  await page.getByText("You are offline.").waitFor();
  await inspect(page, "offline");
  await page.context().setOffline(false);
  await page.getByText("You are offline.").waitFor({ state: "detached" });
  await node(page, "All customers").waitFor();
});

test("a list that could not be loaded says why, and can be asked for again", async (t) => {
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

test("what the service refuses for the moment is tried again when it says so", async (t) => {
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
  let made = 0;
  let noteAgain;
  const again = new Promise((resolve) => (noteAgain = resolve));
  await page.route(LISTS, async (route) => {
    made += 1;
    if (made === 1) return route.fulfill({ status: 200, headers, body: "" });
    noteAgain();
    await route.continue();
  });
  await page.getByRole("button", { name: "Refresh" }).click();
  await again;
  await node(page, "All customers").waitFor();
  assert.equal(made, 2);
});

test("an edit that the service refuses says what to do, and can be tried again", async (t) => {
  const page = await signedIn(t, { at: `#/${all.id}` });
  await page.getByLabel("Payment terms").fill("Net 1");
  const headers = { "content-type": "application/grpc-web+proto", "grpc-status": "14", "grpc-message": "the database is away" };
  await page.route(UPDATES, (route) => route.fulfill({ status: 200, headers, body: "" }));
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("Try again in a second").waitFor();
  await inspect(page, "away");
  await page.unroute(UPDATES);
  await page.getByRole("button", { name: "Save" }).click();
  await status(page, "was saved").waitFor();
});

test("a key that is revoked while it is used leads back to the sign-in, with the reason and without loss", async (t) => {
  const keys = (...command) => execFileSync(process.env.BINARY, ["keys", ...command], { encoding: "utf8" }).trim();
  const short = keys("create", "--name", "short-lived");
  const page = await signedIn(t, { as: short, at: `#/${all.id}` });
  await page.getByLabel("Default price list").fill("Draft");
  const [, id] = keys("list").match(/(key_\S+)\s+.*short-lived/);
  keys("revoke", id);
  await page.getByLabel("API key").waitFor({ state: "detached" });
  for (let isOut = false; !isOut; ) {
    await page.getByRole("button", { name: "Refresh" }).click({ timeout: 1_000 }).catch(() => {});
    isOut = await page.getByRole("alert").getByText("revoked").isVisible();
  }
  await inspect(page, "revoked");
  await page.getByLabel("API key").fill(process.env.KEY);
  await page.keyboard.press("Enter");
  await heading(page, "All customers").waitFor();
  assert.equal(await page.getByLabel("Default price list").inputValue(), "Draft");
});

test("a phone shows the tree or a group", async (t) => {
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

test("the explorer as one works with it", async (t) => {
  const page = await signedIn(t, { at: `#/${exported.id}`, viewport: { width: 1080, height: 720 } });
  await page.locator(".row.is-chosen").waitFor();
  await tree(page).focus();
  await page.keyboard.press("ArrowRight");
  await node(page, "Overseas").waitFor();
  await inspect(page, "explorer");
  await page.setViewportSize({ width: 390, height: 780 });
  await inspect(page, "phone");
});
