// Test support: a browser on the explorer, and REST calls to the same service.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after } from "node:test";
import { launch } from "../chromium.mjs";

const { URL: url, KEY: key, READ_KEY: readKey, PICTURES: pictures } = process.env;
export { key, readKey, url };

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(pictures, { recursive: true });

const browser = await launch();
after(() => browser.close());

// Opens a page in its own browser context. Errors on the page fail the test.
export async function visit(test, { at = "", viewport = { width: 1200, height: 760 }, ...options } = {}) {
  const context = await browser.newContext({ viewport, locale: "en-GB", ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    // Chromium logs every HTTP error status; that is not an error of the page.
    const isHttpError = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isHttpError) errors.push(message.text());
  });
  test.after(async () => {
    await context.close();
    assert.deepEqual(errors, []);
  });
  await page.goto(`${url}/${at}`);
  return page;
}

export async function signIn(page, as = key) {
  await page.getByLabel("API key").fill(as);
  await page.getByRole("button", { name: "Sign in" }).click();
  await tree(page).waitFor();
}

export async function signedIn(test, { as = key, ...options } = {}) {
  const page = await visit(test, options);
  await signIn(page, as);
  return page;
}

export const tree = (page) => page.getByRole("tree");
export const node = (page, name) => page.getByRole("treeitem", { name, exact: false }).first();
export const heading = (page, name) => page.getByRole("heading", { level: 2, name, exact: true });
export const status = (page, text) => page.locator(".message", { hasText: text });

export async function rest(method, path, body) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const response = await fetch(`${url}/api/setup/customer-group${path}`, {
    method,
    headers,
    ...(body && { body: JSON.stringify(body) }),
  });
  return response.json();
}

export const make = (name, fields = {}) => rest("POST", "", { customer_group_name: name, ...fields });

// Takes a screenshot and asserts that axe finds no accessibility violation, in light and dark mode.
export async function inspect(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.screenshot({ path: `${pictures}/${name}-${colorScheme}.png` });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
    const summary = violations.map(({ id, nodes }) => ({ id, at: nodes.map(({ html, any }) => [html, any[0]?.message]) }));
    assert.deepEqual(summary, [], `${name}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
}
