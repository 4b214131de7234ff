// Short messages of what was done, which screen readers say too.

import { signal } from "@preact/signals";

export type Action = { label: string; run: () => void };
export type Message = { text: string; action: Action | undefined; tone: "done" | "failure" };

const SHOWN_MS = 8_000;

export const message = signal<Message | null>(null);
let timer: ReturnType<typeof setTimeout> | undefined;

export function announce(text: string, action?: Action, tone: Message["tone"] = "done"): void {
  clearTimeout(timer);
  message.value = { text, action, tone };
  // What went wrong, or can be undone, stays until it was read.
  if (tone === "done" && !action) timer = setTimeout(dismiss, SHOWN_MS);
}

export function dismiss(): void {
  message.value = null;
}
