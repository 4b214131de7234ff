// Root component: the sign-in form or the explorer, depending on the session.

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
      {state.kind === "in" && workspace.value ? (
        <Explorer workspace={workspace.value} />
      ) : (
        <SignIn
          isChecking={state.kind === "checking"}
          reason={state.kind === "out" ? state.reason : null}
          hasKey={hasStoredKey()}
        />
      )}
      <Messages />
    </>
  );
}

function Explorer({ workspace }: { workspace: Workspace }) {
  const shown = workspace.shown.value;
  const chosen = shown.kind === "nothing" ? null : shown.kind === "group" ? shown.group.id : shown.id;
  return (
    <div class="explorer" data-shows={chosen === null ? "tree" : "detail"}>
      <Header workspace={workspace} />
      <ConnectionBanner workspace={workspace} />
      <main>
        <TreePane workspace={workspace} chosen={chosen} />
        <Detail workspace={workspace} />
      </main>
      <Dialogs workspace={workspace} />
    </div>
  );
}

function Header({ workspace }: { workspace: Workspace }) {
  const confirmSignOut = () => {
    const count = workspace.drafts.all.value.size;
    const groups = count === 1 ? "1 group" : `${count} groups`;
    if (count > 0 && !confirm(`Your unsaved changes to ${groups} will be lost. Sign out?`)) return;
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
      {!workspace.session.canWrite && <span class="badge">Read only</span>}
      <span class="spring" />
      <button type="button" class="ghost" onClick={() => void workspace.refresh()}>
        <Icon name="refresh" />
        <span class="label">Refresh</span>
      </button>
      <button type="button" class="ghost" onClick={confirmSignOut}>
        <Icon name="out" />
        <span class="label">Sign out</span>
      </button>
    </header>
  );
}

// Banner for a lost connection. Refreshes when the browser is online again.
function ConnectionBanner({ workspace }: { workspace: Workspace }) {
  const isOnline = useSignal(navigator.onLine);
  const reconnect = async () => {
    isReachable.value = true;
    await workspace.refresh();
  };
  useEffect(() => {
    const change = () => {
      isOnline.value = navigator.onLine;
      if (navigator.onLine) void reconnect();
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
        {isOnline.value ? "The service cannot be reached." : "You are offline."} Loaded data and your unsaved changes
        are kept.
      </p>
      <button type="button" onClick={() => void reconnect()}>
        Try again
      </button>
    </div>
  );
}

function TreePane({ workspace, chosen }: { workspace: Workspace; chosen: string | null }) {
  const search = useState(() => new Search(workspace.session.api))[0];
  const isSearching = search.state.value.kind !== "idle";
  const focusTree = () => document.querySelector<HTMLElement>("[role=tree]")?.focus();
  const choose = (group: CustomerGroup) => {
    search.clear();
    select(group.id);
    requestAnimationFrame(focusTree);
  };
  useSearchShortcut();
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
        {workspace.session.canWrite && (
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
        <RootCount workspace={workspace} />
        <TreeView workspace={workspace} chosen={chosen} />
      </div>
      <Footer workspace={workspace} />
    </section>
  );
}

function RootCount({ workspace }: { workspace: Workspace }) {
  workspace.tree.version.value;
  const total = workspace.tree.list(null).total;
  return <p class="roots">{total !== undefined && rootCount(total)}</p>;
}

function rootCount(total: number): string {
  if (total === 0) return "No groups yet";
  return total === 1 ? "1 group at the top level" : `${total.toLocaleString("en")} groups at the top level`;
}

const SHORTCUTS = [
  { key: "→", action: "open", writes: false },
  { key: "←", action: "close", writes: false },
  { key: "Enter", action: "show", writes: false },
  { key: "n", action: "new", writes: true },
  { key: "m", action: "move", writes: true },
  { key: "Del", action: "delete", writes: true },
];

// The keyboard shortcuts. While a group is dragged, this is the drop zone that makes it a root. Both have the same size,
// so the layout does not shift.
function Footer({ workspace }: { workspace: Workspace }) {
  const { dragged, session } = workspace;
  const isOver = useSignal(false);
  const moved = dragged.value;
  if (moved === null || moved.parentId === undefined) {
    return (
      <p class="foot" aria-hidden="true">
        {SHORTCUTS.filter(({ writes }) => session.canWrite || !writes).map(({ key, action }) => (
          <span key={key}>
            <kbd>{key}</kbd> {action}
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
      Drop here to move the group to the top level
    </p>
  );
}

function useSearchShortcut() {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const isTyping =
        event.target instanceof Element && event.target.closest("input:not([type=checkbox], [type=radio]), dialog");
      if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      document.getElementById("search")?.focus();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
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
