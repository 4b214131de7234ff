// What is on the screen, by who is signed in.

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { CustomerGroup } from "./api";
import { create, Detail } from "./detail";
import { Dialogs } from "./dialogs";
import { SearchField, SearchResults } from "./finder";
import { Icon } from "./icons";
import { dismiss, message } from "./messages";
import { Search } from "./search";
import { hasStoredKey, isReachable, session, signOut } from "./session";
import { SignIn } from "./signin";
import { TreeView } from "./treeview";
import { select, type Workspace } from "./workspace";

export function App({ workspace }: { workspace: ReadonlySignal<Workspace | null> }) {
  const state = session.value;
  return (
    <>
      {state.is === "in" && workspace.value ? (
        <Explorer workspace={workspace.value} />
      ) : (
        <SignIn
          isChecking={state.is === "checking"}
          reason={state.is === "out" ? state.reason : null}
          hasKey={hasStoredKey()}
        />
      )}
      <Messages />
    </>
  );
}

function Explorer({ workspace }: { workspace: Workspace }) {
  const shown = workspace.shown.value;
  const chosen = shown.is === "nothing" ? null : shown.is === "group" ? shown.group.id : shown.id;
  return (
    <div class="explorer" data-shows={chosen === null ? "tree" : "detail"}>
      <Header workspace={workspace} />
      <Connection workspace={workspace} />
      <main>
        <TreePane workspace={workspace} chosen={chosen} />
        <Detail workspace={workspace} />
      </main>
      <Dialogs workspace={workspace} />
    </div>
  );
}

function Header({ workspace }: { workspace: Workspace }) {
  const leave = () => {
    const count = workspace.drafts.all.value.size;
    const what = count === 1 ? "one group" : `${count} groups`;
    if (count > 0 && !confirm(`What you entered for ${what} is not saved, and will be lost. Sign out?`)) return;
    select(null);
    signOut();
  };
  return (
    <header class="top">
      <a class="brand" href="#/">
        <span class="mark">
          <Icon name="tree" />
        </span>
        <h1>Customer groups</h1>
      </a>
      {!workspace.session.mayWrite && <span class="badge">Read only</span>}
      <span class="spring" />
      <button type="button" class="ghost" onClick={() => void workspace.refresh()}>
        <Icon name="refresh" />
        <span class="label">Refresh</span>
      </button>
      <button type="button" class="ghost" onClick={leave}>
        <Icon name="out" />
        <span class="label">Sign out</span>
      </button>
    </header>
  );
}

// Tells that the service cannot be reached, and goes on when it can.
function Connection({ workspace }: { workspace: Workspace }) {
  const isOnline = useSignal(navigator.onLine);
  const goOn = async () => {
    isReachable.value = true;
    await workspace.refresh();
  };
  useEffect(() => {
    const change = () => {
      isOnline.value = navigator.onLine;
      if (navigator.onLine) void goOn();
    };
    addEventListener("online", change);
    addEventListener("offline", change);
    return () => {
      removeEventListener("online", change);
      removeEventListener("offline", change);
    };
  }, [workspace]);
  if (isOnline.value && isReachable.value) return null;
  return (
    <div class="banner" role="alert">
      <Icon name="warning" />
      <p>
        {isOnline.value ? "The service cannot be reached." : "You are offline."} What was loaded is still here, and so
        is what you entered.
      </p>
      <button type="button" onClick={() => void goOn()}>
        Try again
      </button>
    </div>
  );
}

function TreePane({ workspace, chosen }: { workspace: Workspace; chosen: string | null }) {
  const search = useState(() => new Search(workspace.session.api))[0];
  const isSearching = search.found.value.is !== "idle";
  const focusTree = () => document.querySelector<HTMLElement>("[role=tree]")?.focus();
  const choose = (group: CustomerGroup) => {
    search.clear();
    select(group.id);
    requestAnimationFrame(focusTree);
  };
  useSearchKey();
  return (
    <section class="pane" aria-label="Tree">
      <div class="pane-head">
        <SearchField
          search={search}
          id="search"
          label="Search by name"
          hint="/"
          onChoose={choose}
          onLeave={focusTree}
        />
        {workspace.session.mayWrite && (
          <button
            type="button"
            onClick={() => create(workspace, null)}
            aria-label="New group at the top level"
            title="New group at the top level"
          >
            <Icon name="plus" />
            New
          </button>
        )}
      </div>
      {isSearching && <SearchResults search={search} id="search" onChoose={choose} />}
      <div class="tree-box" hidden={isSearching}>
        <Roots workspace={workspace} />
        <TreeView workspace={workspace} chosen={chosen} />
      </div>
      <Foot workspace={workspace} />
    </section>
  );
}

function Roots({ workspace }: { workspace: Workspace }) {
  workspace.tree.changed.value;
  const total = workspace.tree.list(null).total;
  return <p class="roots">{total !== undefined && rootsOf(total)}</p>;
}

function rootsOf(total: number): string {
  if (total === 0) return "No groups yet";
  return total === 1 ? "1 group at the top level" : `${total.toLocaleString("en")} groups at the top level`;
}

const KEYS = [
  { key: "→", does: "open", writes: false },
  { key: "←", does: "close", writes: false },
  { key: "Enter", does: "show", writes: false },
  { key: "n", does: "new", writes: true },
  { key: "m", does: "move", writes: true },
  { key: "Del", does: "delete", writes: true },
];

// What keys do; and while a group is dragged, where it becomes a root. Nothing moves when one takes the other's place.
function Foot({ workspace }: { workspace: Workspace }) {
  const { dragged, session } = workspace;
  const isOver = useSignal(false);
  const moved = dragged.value;
  if (moved === null || moved.parentId === undefined) {
    return (
      <p class="foot" aria-hidden="true">
        {KEYS.filter(({ writes }) => session.mayWrite || !writes).map(({ key, does }) => (
          <span key={key}>
            <kbd>{key}</kbd> {does}
          </span>
        ))}
      </p>
    );
  }
  const over = (event: DragEvent) => {
    event.preventDefault();
    isOver.value = true;
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    [isOver.value, dragged.value] = [false, null];
    void workspace.drop(moved, null);
  };
  return (
    <p
      class={isOver.value ? "foot is-zone is-target" : "foot is-zone"}
      onDragOver={over}
      onDragLeave={() => (isOver.value = false)}
      onDrop={drop}
    >
      Drop here to move it to the top level
    </p>
  );
}

function useSearchKey() {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const isTyping =
        event.target instanceof Element && event.target.closest("input:not([type=checkbox], [type=radio]), dialog");
      if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      document.getElementById("search")?.focus();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

function Messages() {
  const shown = message.value;
  return (
    <div class="messages" role="status" aria-live="polite">
      {shown && (
        <div class={shown.tone === "failure" ? "message is-failure" : "message"}>
          <Icon name={shown.tone === "failure" ? "warning" : "check"} />
          <span>{shown.text}</span>
          {shown.action && (
            <button
              type="button"
              onClick={() => {
                const { action } = shown;
                dismiss();
                action?.run();
              }}
            >
              {shown.action.label}
            </button>
          )}
          <button type="button" class="icon-button" aria-label="Dismiss" onClick={dismiss}>
            <Icon name="close" />
          </button>
        </div>
      )}
    </div>
  );
}
