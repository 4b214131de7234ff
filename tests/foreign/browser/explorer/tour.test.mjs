// All features of the explorer, with mouse and keyboard.

import assert from "node:assert/strict";
import { test } from "node:test";
import { heading, inspect, key, make, node, readKey, rest, signedIn, signIn, status, tree, url, visit } from "./support.mjs";

const field = (page, name) => page.getByRole("textbox", { name });

test("an unknown key is rejected with the reason, and a valid one is removed on sign-out", async (t) => {
  const page = await visit(t);
  await inspect(page, "sign-in");
  await page.getByLabel("API key").fill("sk_test_that_nobody_ever_made");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  await inspect(page, "sign-in-refused");
  await signIn(page);
  await page.reload();
  await tree(page).waitFor();
  assert.ok(!page.url().includes(key));
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("API key").waitFor();
  await page.reload();
  await page.getByLabel("API key").waitFor();
  assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage })), "{}");
});

test("the first group is created in an empty tree, then a child below it", async (t) => {
  const page = await signedIn(t);
  await page.getByRole("heading", { name: "There are no customer groups yet" }).waitFor();
  await inspect(page, "empty");
  await page.getByRole("button", { name: "Create the first group" }).click();
  await field(page, "Name").fill(" ");
  await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
  await page.getByText("Name is required").waitFor();
  await inspect(page, "create-refused");
  await field(page, "Name").fill("All customers");
  await page.keyboard.press("Enter");
  await heading(page, "All customers").waitFor();
  assert.equal(await node(page, "All customers").getAttribute("aria-selected"), "true");

  await page.getByRole("button", { name: "New child" }).click();
  const dialog = page.getByRole("dialog");
  await field(dialog, "Name").fill("Wholesale");
  await field(dialog, "Payment terms").fill("Net 30");
  await page.keyboard.press("Enter");
  await heading(page, "Wholesale").waitFor();
  assert.equal(await node(page, "Wholesale").getAttribute("aria-level"), "2");
  assert.equal(await field(page, "Payment terms").inputValue(), "Net 30");
  await page.getByRole("navigation", { name: "Breadcrumb" }).getByRole("link", { name: "All customers" }).click();
  await heading(page, "All customers").waitFor();
});

test("a field is edited, rejected, corrected and saved", async (t) => {
  const { id } = await make("Editable", { default_price_list: "Old" });
  const page = await signedIn(t, { at: `#/${id}` });
  await field(page, "Default price list").fill("x".repeat(256));
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".wrong", { hasText: "255" }).waitFor();
  await inspect(page, "save-refused");
  await field(page, "Default price list").fill("Export");
  await field(page, "Payment terms").fill("Net 14");
  await page.getByLabel("Holds other groups").check();
  await page.keyboard.press("Enter");
  await status(page, "was saved").waitFor();
  const saved = await rest("GET", `/${id}`);
  assert.deepEqual([saved.default_price_list, saved.payment_terms, saved.is_group], ["Export", "Net 14", true]);
  await field(page, "Payment terms").fill("");
  const response = page.waitForResponse("**/UpdateCustomerGroup");
  await page.getByRole("button", { name: "Save" }).click();
  await response;
  assert.equal((await rest("GET", `/${id}`)).payment_terms, null);
});

test("unsaved changes survive navigation to another group", async (t) => {
  const [one, other] = [await make("Drafted"), await make("Other")];
  const page = await signedIn(t, { at: `#/${one.id}` });
  await field(page, "Payment terms").fill("Net 7");
  await node(page, "Other").click();
  await heading(page, "Other").waitFor();
  await page.getByRole("treeitem", { name: "Drafted, not saved" }).click();
  assert.equal(await field(page, "Payment terms").inputValue(), "Net 7");
  await page.getByRole("button", { name: "Discard" }).click();
  assert.equal(await field(page, "Payment terms").inputValue(), "");
  await rest("DELETE", `/${other.id}`);
});

test("a conflicting edit shows both versions field by field and loses neither", async (t) => {
  const { id } = await make("Contested", { payment_terms: "Net 30" });
  const [mine, theirs] = [await signedIn(t, { at: `#/${id}` }), await signedIn(t, { at: `#/${id}` })];
  await field(mine, "Payment terms").fill("Net 45");
  await field(mine, "Default price list").fill("Mine");
  await field(theirs, "Payment terms").fill("Net 60");
  await field(theirs, "Parent in another system").fill("Theirs");
  await theirs.getByRole("button", { name: "Save" }).click();
  await status(theirs, "was saved").waitFor();
  await mine.getByRole("button", { name: "Save" }).click();
  await heading(mine, "Contested").waitFor();
  await mine.getByRole("heading", { name: "Someone else changed this group in the meantime" }).waitFor();
  await inspect(mine, "conflict");
  const choice = (name) => mine.getByRole("group", { name });
  assert.ok(await choice("Payment terms").getByLabel("Yours Net 45").isChecked());
  assert.ok(await choice("Parent in another system").getByLabel("Theirs Theirs").isChecked());
  await choice("Payment terms").getByLabel("Theirs Net 60").check();
  await mine.getByRole("button", { name: "Save chosen values" }).click();
  await status(mine, "was saved").waitFor();
  const saved = await rest("GET", `/${id}`);
  const fields = [saved.payment_terms, saved.default_price_list, saved.parent_customer_group];
  assert.deepEqual(fields, ["Net 60", "Mine", "Theirs"]);
});

test("a group is moved by drag and drop, and moved back by undo", async (t) => {
  const target = await make("Mouse target");
  const moved = await make("Mouse moved");
  const page = await signedIn(t);
  await node(page, "Mouse moved").dragTo(node(page, "Mouse target"));
  await status(page, "is now in “Mouse target”").waitFor();
  await inspect(page, "moved");
  assert.equal((await rest("GET", `/${moved.id}`)).parent_id, target.id);
  assert.equal(await node(page, "Mouse moved").getAttribute("aria-level"), "2");
  await page.getByRole("button", { name: "Undo" }).click();
  await status(page, "at the top level").waitFor();
  assert.equal((await rest("GET", `/${moved.id}`)).parent_id, null);
});

test("a group is moved to the top level by drag and drop", async (t) => {
  const parent = await make("Upper");
  const { id } = await make("Lower", { parent_id: parent.id });
  const page = await signedIn(t, { at: `#/${id}` });
  await node(page, "Lower").hover();
  await page.mouse.down();
  await node(page, "Upper").hover();
  await page.getByText("Drop here to move the group to the top level").hover();
  await page.mouse.up();
  await status(page, "“Lower” is now at the top level").waitFor();
  assert.equal((await rest("GET", `/${id}`)).parent_id, null);
});

test("a retried create whose response was lost creates no second group", async (t) => {
  const page = await signedIn(t);
  await page.route("**/CreateCustomerGroup", async (route) => {
    const request = route.request();
    const { host: _, "content-length": __, ...headers } = request.headers();
    const response = await fetch(request.url(), { method: "POST", headers, body: request.postDataBuffer() });
    await response.arrayBuffer();
    await route.abort();
  });
  await page.getByRole("button", { name: "New group at the top level" }).click();
  await field(page, "Name").fill("Only once");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByText("The service cannot be reached.").waitFor();
  await page.unroute("**/CreateCustomerGroup");
  await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
  await heading(page, "Only once").waitFor();
  assert.equal((await rest("GET", "?customer_group_name=only%20once")).total, 1);
});

test("a group is moved with the keyboard alone, but not below itself", async (t) => {
  const target = await make("Keyboard target");
  const inner = await make("Keyboard inner", { parent_id: target.id });
  const page = await signedIn(t);
  await page.keyboard.press("/");
  await page.keyboard.type("keyboard inner");
  await page.getByRole("option", { name: "Keyboard inner" }).waitFor();
  await page.getByText("Keyboard target").first().waitFor();
  await inspect(page, "search");
  await page.keyboard.press("Enter");
  await heading(page, "Keyboard inner").waitFor();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("m");
  await page.keyboard.type("keyboard inner");
  await page.getByRole("dialog").getByRole("option", { name: "Keyboard inner" }).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Move here" }).press("Enter");
  await page.getByRole("alert").getByText("A group cannot be moved into itself").waitFor();
  await inspect(page, "move-refused");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });

  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("m");
  await page.getByRole("button", { name: "To the top level" }).press("Enter");
  await page.getByRole("button", { name: "Move here" }).press("Enter");
  await status(page, "at the top level").waitFor();
  assert.equal((await rest("GET", `/${inner.id}`)).parent_id, null);
});

test("a delete asks for confirmation and is rejected while the group has children", async (t) => {
  const parent = await make("Deletable");
  const child = await make("Only child", { parent_id: parent.id });
  const page = await signedIn(t, { at: `#/${parent.id}` });
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("alert").getByText("The group has children.").waitFor();
  await inspect(page, "delete-refused");
  await page.getByRole("button", { name: "Show its children" }).click();
  await node(page, "Only child").click();
  await heading(page, "Only child").waitFor();
  await tree(page).focus();
  await page.keyboard.press("Delete");
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await status(page, "was deleted").waitFor();
  await heading(page, "Deletable").waitFor();
  assert.equal((await rest("GET", `/${child.id}`)).error.code, "resource_missing");
  assert.equal(await node(page, "Only child").count(), 0);
});

test("a group that someone else changed is deleted only after a second confirmation", async (t) => {
  const { id } = await make("Changed by others");
  const page = await signedIn(t, { at: `#/${id}` });
  await page.getByRole("button", { name: "Delete" }).click();
  await rest("PATCH", `/${id}`, { payment_terms: "Net 9" });
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await dialog.getByRole("alert").getByText("Someone else changed the group in the meantime.").waitFor();
  assert.equal(await field(page, "Payment terms").inputValue(), "Net 9");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await status(page, "was deleted").waitFor();
  assert.equal((await rest("GET", `/${id}`)).error.code, "resource_missing");
});

test("a read-only key shows everything and offers no changes", async (t) => {
  const { id } = await make("Readable", { payment_terms: "Net 30" });
  const page = await signedIn(t, { as: readKey, at: `#/${id}` });
  await heading(page, "Readable").waitFor();
  await page.getByText("Read only").waitFor();
  assert.equal(await field(page, "Payment terms").inputValue(), "Net 30");
  assert.equal(await field(page, "Payment terms").isEditable(), false);
  for (const name of ["New", "New child", "Move", "Delete", "Save"]) {
    assert.equal(await page.getByRole("button", { name, exact: true }).count(), 0, name);
  }
  await inspect(page, "read-only");
});

test("a URL leads to a group, or says that the group does not exist", async (t) => {
  const root = await make("Linked root");
  const middle = await make("Linked middle", { parent_id: root.id });
  const leaf = await make("Linked leaf", { parent_id: middle.id });
  const page = await signedIn(t, { at: `#/${leaf.id}` });
  await heading(page, "Linked leaf").waitFor();
  await node(page, "Linked leaf").waitFor();
  assert.equal(await node(page, "Linked leaf").getAttribute("aria-level"), "3");
  const path = page.getByRole("navigation", { name: "Breadcrumb" });
  assert.deepEqual(await path.getByRole("link").allInnerTexts(), ["Linked root", "Linked middle"]);
  await page.goto(`${url}/#/customer-group_abc123`);
  await page.getByRole("heading", { name: "Group not found" }).waitFor();
  await inspect(page, "missing");
});
