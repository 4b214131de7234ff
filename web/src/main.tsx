// Entry point: renders the app and connects session, workspace and URL.

import { effect, signal } from "@preact/signals";
import { render } from "preact";
import "./style/base.css";
import "./style/controls.css";
import "./style/tree.css";
import "./style/detail.css";
import { App } from "./app";
import { session, resume } from "./session";
import { selected, Workspace } from "./workspace";

const workspace = signal<Workspace | null>(null);

// Drafts survive a new sign-in after a key was revoked, but not a sign-out.
effect(() => {
  const state = session.value;
  const previous = workspace.peek();
  if (state.kind === "in") workspace.value = new Workspace(state.session, previous?.drafts);
  else if (state.kind === "out" && !state.reason) workspace.value = null;
});

const showSelected = () => void workspace.peek()?.show(selected());
workspace.subscribe(showSelected);
addEventListener("hashchange", showSelected);

addEventListener("beforeunload", (event) => {
  if (workspace.peek()?.drafts.all.value.size) event.preventDefault();
});

render(<App workspace={workspace} />, document.getElementById("app")!);
void resume();
