// The page: signed out, or with the tree on the left and one group of it on the right.

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

// Who signs in again, after a key was revoked, finds the drafts as they were.
effect(() => {
  const state = session.value;
  const before = workspace.peek();
  if (state.is === "in") workspace.value = new Workspace(state.session, before?.drafts);
  else if (state.is === "out" && !state.reason) workspace.value = null;
});

const follow = () => void workspace.peek()?.show(selected());
workspace.subscribe(follow);
addEventListener("hashchange", follow);

addEventListener("beforeunload", (event) => {
  if (workspace.peek()?.drafts.all.value.size) event.preventDefault();
});

render(<App workspace={workspace} />, document.getElementById("app")!);
void resume();
