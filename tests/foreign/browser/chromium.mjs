// Starts Chromium and opens pages in it.

import { chromium } from "playwright-core";

export function launch() {
  return chromium.launch({
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
}

export async function withPage(use) {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    const log = [];
    page.on("console", (message) => log.push(message.text()));
    console.log(JSON.stringify({ seen: await use(page), log }));
  } finally {
    await browser.close();
  }
}
