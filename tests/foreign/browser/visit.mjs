// Opens a page, calls one of its functions, and prints the result and the browser's log.

import { withPage } from "./chromium.mjs";

const [url, visit, ...args] = process.argv.slice(2);
await withPage(async (page) => {
  await page.goto(url);
  return page.evaluate(([visit, args]) => window[visit](...args), [visit, args]);
});
