// Status messages, also announced to screen readers.

import { signal } from "@preact/signals";

export type Action = { label: string; run: () => void };
export type Message = { text: string; action: Action | undefined; tone: "done" | "failure" };

const DISPLAY_MS = 8_000;

export const message = signal<Message | null>(null);
let timer: ReturnType<typeof setTimeout> | undefined;

export function announce(text: string, action?: Action, tone: Message["tone"] = "done"): void {
  clearTimeout(timer);
  message.value = { text, action, tone };
  // Failures and messages with an action stay until they are dismissed.
  if (tone === "done" && !action) timer = setTimeout(dismiss, DISPLAY_MS);
}

export function dismiss(): void {
  message.value = null;
}
