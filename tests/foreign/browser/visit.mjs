// Opens a page in Chromium, calls one of its functions, and prints what that returns and what the browser logs.

import { chromium } from "playwright-core";

const [url, visit, ...args] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  const page = await browser.newPage();
  const log = [];
  page.on("console", (message) => log.push(message.text()));
  await page.goto(url);
  const seen = await page.evaluate(([visit, args]) => window[visit](...args), [visit, args]);
  console.log(JSON.stringify({ seen, log }));
} finally {
  await browser.close();
}
