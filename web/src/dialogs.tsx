// The dialogs that create, move and delete a group.

import { useSignal } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import { type CustomerGroup, parentOf } from "./api";
import { Notice } from "./detail";
import { DialogWindow } from "./dialog";
import { advice, asFailure, type Failure } from "./failure";
import { Fields } from "./fields";
import { SearchField, SearchResults } from "./finder";
import { Icon } from "./icons";
import { Search } from "./search";
import { EMPTY, type ValueName, type Values } from "./values";
import type { Workspace } from "./workspace";

export function Dialogs({ workspace }: { workspace: Workspace }) {
  const dialog = workspace.dialog.value;
  const close = () => (workspace.dialog.value = null);
  switch (dialog?.kind) {
    case undefined:
      return null;
    case "create":
      return <Create workspace={workspace} parent={dialog.parent} initial={dialog.values} onClose={close} />;
    case "move":
      return <Move workspace={workspace} group={dialog.group} onClose={close} />;
    case "delete":
      return <Delete workspace={workspace} group={dialog.group} onClose={close} />;
  }
}

// Runs a dialog's action. Closes the dialog on success; on failure, keeps it open and exposes the failure.
function useAttempt(onClose: () => void) {
  const failure = useSignal<Failure | null>(null);
  const isBusy = useSignal(false);
  const attempt = async (action: () => Promise<void>) => {
    if (isBusy.value) return;
    [isBusy.value, failure.value] = [true, null];
    try {
      await action();
      onClose();
    } catch (error) {
      failure.value = asFailure(error);
    } finally {
      isBusy.value = false;
    }
  };
  return { failure, isBusy, attempt };
}

function FailureNotice({ failure }: { failure: Failure | null }) {
  if (!failure) return null;
  return (
    <Notice>
      <p>{failure.message}</p>
      <p>{advice(failure)}</p>
    </Notice>
  );
}

function newIdempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
}

type CreateProps = { workspace: Workspace; parent: CustomerGroup | null; initial: Values | null; onClose: () => void };

function Create({ workspace, parent, initial, onClose }: CreateProps) {
  const values = useSignal(initial ?? { ...EMPTY, is_group: parent === null });
  const { failure, isBusy, attempt } = useAttempt(onClose);
  // Changes with every edit, so that only an unchanged retry is a replay.
  const key = useRef(newIdempotencyKey());
  const form = useRef<HTMLFormElement>(null);
  const edit = <N extends ValueName>(name: N, value: Values[N]) => {
    values.value = { ...values.value, [name]: value };
    key.current = newIdempotencyKey();
  };
  const submit = async (event: Event) => {
    event.preventDefault();
    await attempt(() => workspace.create(parent?.id ?? null, values.value, key.current));
    form.current?.querySelector<HTMLInputElement>("[aria-invalid=true]")?.focus();
  };
  const generalFailure = failure.value && failure.value.kind !== "invalid" ? failure.value : null;
  return (
    <DialogWindow
      title={parent ? `New group in “${parent.customerGroupName}”` : "New group at the top level"}
      onClose={onClose}
    >
      <form ref={form} class="fields" onSubmit={submit} aria-busy={isBusy.value}>
        <Fields
          id="new"
          values={values.value}
          saved={null}
          failure={failure.value}
          isReadOnly={isBusy.value}
          onEdit={edit}
        />
        {failure.value?.fields.has("parent_id") && <FailureNotice failure={failure.value} />}
        <FailureNotice failure={generalFailure} />
        <div class="dialog-actions">
          <button class="primary" disabled={isBusy.value}>
            {isBusy.value ? "Creating…" : "Create"}
          </button>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
        </div>
      </form>
    </DialogWindow>
  );
}

type Target = { parent: CustomerGroup | null } | null;

function Move({ workspace, group, onClose }: { workspace: Workspace; group: CustomerGroup; onClose: () => void }) {
  const search = useState(() => new Search(workspace.session.api))[0];
  const target = useSignal<Target>(null);
  const { failure, isBusy, attempt } = useAttempt(onClose);
  const isRoot = parentOf(group) === null;
  const choose = (parent: CustomerGroup | null) => {
    target.value = { parent };
    failure.value = null;
    search.clear();
    // Enter in the search field selects the parent; a second Enter confirms the move.
    requestAnimationFrame(() => document.getElementById("move-here")?.focus());
  };
  const to = target.value;
  return (
    <DialogWindow title={`Move “${group.customerGroupName}”`} onClose={onClose}>
      <p class="quiet">All its descendants move with it. Find the new parent group.</p>
      <SearchField search={search} id="move-search" label="Find the new parent" onChoose={choose} onLeave={onClose} />
      {search.state.value.kind !== "idle" && <SearchResults search={search} id="move-search" onChoose={choose} />}
      {!isRoot && (
        <button type="button" onClick={() => choose(null)}>
          <Icon name="tree" />
          To the top level
        </button>
      )}
      {to && (
        <p class="chosen" role="status">
          <Icon name="check" />
          {to.parent ? `Into “${to.parent.customerGroupName}”` : "To the top level"}
        </p>
      )}
      <FailureNotice failure={failure.value} />
      <div class="dialog-actions">
        <button
          id="move-here"
          type="button"
          class="primary"
          disabled={!to || isBusy.value}
          onClick={() => to && void attempt(() => workspace.move(group, to.parent))}
        >
          {isBusy.value ? "Moving…" : "Move here"}
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </DialogWindow>
  );
}

function Delete({ workspace, group, onClose }: { workspace: Workspace; group: CustomerGroup; onClose: () => void }) {
  const { failure, isBusy, attempt } = useAttempt(onClose);
  const hasChildren = failure.value?.kind === "has-children";
  const open = () => {
    onClose();
    void workspace.tree.open(group.id);
  };
  return (
    <DialogWindow title={`Delete “${group.customerGroupName}”?`} onClose={onClose}>
      <p>This cannot be undone. A group that has children cannot be deleted.</p>
      <FailureNotice failure={failure.value} />
      <div class="dialog-actions">
        {hasChildren ? (
          <button type="button" class="primary" onClick={open}>
            Show its children
          </button>
        ) : (
          <button
            type="button"
            class="primary is-danger"
            disabled={isBusy.value}
            onClick={() => void attempt(() => workspace.delete(group))}
          >
            {isBusy.value ? "Deleting…" : "Delete"}
          </button>
        )}
        <button type="button" data-first onClick={onClose}>
          Cancel
        </button>
      </div>
    </DialogWindow>
  );
}
