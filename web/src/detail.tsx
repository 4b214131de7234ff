// The detail pane: one group with its path, form, actions and metadata.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { type CustomerGroup, parentOf } from "./api";
import { Conflict } from "./conflict";
import { changed, type Draft } from "./drafts";
import { advice, type Failure } from "./failure";
import { Fields } from "./fields";
import { Icon } from "./icons";
import { announce } from "./messages";
import { valuesOf } from "./values";
import { select, type Workspace } from "./workspace";

export function Detail({ workspace }: { workspace: Workspace }) {
  const shown = workspace.shown.value;
  switch (shown.kind) {
    case "nothing":
      return <EmptyDetail workspace={workspace} />;
    case "loading":
      return (
        <section class="detail" aria-label="Details" aria-busy="true">
          <p class="visually-hidden">Loading</p>
          <div class="skeleton is-title" />
          <div class="skeleton" />
          <div class="skeleton" />
          <div class="skeleton" />
        </section>
      );
    case "failed":
      return <Failed workspace={workspace} id={shown.id} failure={shown.failure} />;
    case "group":
      return <Group key={shown.group.id} workspace={workspace} group={shown.group} ancestors={shown.ancestors} />;
  }
}

function EmptyDetail({ workspace }: { workspace: Workspace }) {
  workspace.tree.version.value;
  const isEmpty = workspace.tree.list(null).total === 0;
  const { canWrite } = workspace.session;
  return (
    <section class="detail is-empty" aria-label="Details">
      <Icon name="tree" />
      <h2>{isEmpty ? "There are no customer groups yet" : "No group selected"}</h2>
      <p class="quiet">
        {isEmpty && canWrite && "Start with a root group for all others, such as “All customers”."}
        {isEmpty && !canWrite && "To create the first group, sign in with a key that has write access."}
        {!isEmpty && "Select a group in the tree, or search by name, to see its details."}
      </p>
      {isEmpty && canWrite && (
        <button type="button" class="primary" onClick={() => create(workspace, null)}>
          <Icon name="plus" />
          Create the first group
        </button>
      )}
    </section>
  );
}

function Failed({ workspace, id, failure }: { workspace: Workspace; id: string; failure: Failure }) {
  return (
    <section class="detail is-empty" aria-label="Details">
      <Back />
      <Icon name="warning" />
      <h2>{failure.kind === "not-found" ? "Group not found" : "The group could not be loaded"}</h2>
      <div role="alert">
        <p>{failure.message}</p>
        {failure.kind !== "not-found" && <p class="quiet">{advice(failure)}</p>}
      </div>
      {failure.kind === "not-found" ? (
        <button type="button" onClick={() => select(null)}>
          Back to the tree
        </button>
      ) : (
        <button type="button" onClick={() => void workspace.show(id)}>
          Try again
        </button>
      )}
    </section>
  );
}

type GroupProps = { workspace: Workspace; group: CustomerGroup; ancestors: CustomerGroup[] | null };

function Group({ workspace, group, ancestors }: GroupProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  const draft = workspace.drafts.all.value.get(group.id);
  useEffect(() => {
    // Narrow screens show one pane at a time, so the focus has to follow.
    if (matchMedia("(max-width: 44rem)").matches) heading.current?.focus();
  }, []);
  return (
    <section class="detail" aria-label="Details">
      <Back />
      <Breadcrumb
        ancestors={ancestors ?? workspace.tree.ancestorsOf(parentOf(group))}
        isRoot={parentOf(group) === null}
      />
      <h2 ref={heading} tabIndex={-1}>
        {group.customerGroupName}
      </h2>
      {workspace.session.canWrite && <Actions workspace={workspace} group={group} />}
      {draft?.theirs ? (
        <Conflict workspace={workspace} draft={draft} theirs={draft.theirs} />
      ) : (
        <Form workspace={workspace} group={group} draft={draft} />
      )}
      <Metadata group={group} />
    </section>
  );
}

function Back() {
  return (
    <button type="button" class="back" onClick={() => select(null)}>
      <Icon name="back" />
      Tree
    </button>
  );
}

function Breadcrumb({ ancestors, isRoot }: { ancestors: CustomerGroup[]; isRoot: boolean }) {
  return (
    <nav class="path-bar" aria-label="Breadcrumb">
      <ol>
        {isRoot && <li class="quiet">Top level</li>}
        {[...ancestors].reverse().map((node) => (
          <li key={node.id}>
            <a href={`#/${node.id}`}>{node.customerGroupName}</a>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function Actions({ workspace, group }: { workspace: Workspace; group: CustomerGroup }) {
  const { dialog } = workspace;
  return (
    <div class="actions">
      <button type="button" onClick={() => create(workspace, group)}>
        <Icon name="plus" />
        New child
      </button>
      <button type="button" onClick={() => (dialog.value = { kind: "move", group })}>
        <Icon name="move" />
        Move
      </button>
      <button type="button" class="is-danger" onClick={() => (dialog.value = { kind: "delete", group })}>
        <Icon name="trash" />
        Delete
      </button>
    </div>
  );
}

function Form({ workspace, group, draft }: { workspace: Workspace; group: CustomerGroup; draft: Draft | undefined }) {
  const { drafts, session } = workspace;
  const form = useRef<HTMLFormElement>(null);
  const saved = valuesOf(draft?.base ?? group);
  const values = draft?.values ?? saved;
  const count = changed(saved, values).length;
  const failure = draft?.failure ?? null;
  const save = async (event: Event) => {
    event.preventDefault();
    const after = await drafts.save(group.id, session.api);
    if (after) {
      workspace.updated(after);
      announce(`“${after.customerGroupName}” was saved.`);
    }
    form.current?.querySelector<HTMLInputElement>("[aria-invalid=true]")?.focus();
  };
  return (
    <form ref={form} class="fields" onSubmit={save} aria-busy={draft?.isSaving}>
      <Fields
        {...{ id: "detail", values, saved, failure }}
        isReadOnly={!session.canWrite || draft?.isSaving === true}
        onEdit={(name, value) => drafts.edit(group, name, value)}
      />
      {failure && <SaveFailure workspace={workspace} draft={draft} failure={failure} />}
      {draft && (
        <div class="save-bar">
          <button class="primary" disabled={draft.isSaving}>
            {draft.isSaving ? "Saving…" : "Save"}
          </button>
          <button type="button" onClick={() => drafts.discard(group.id)} disabled={draft.isSaving}>
            Discard
          </button>
          <span class="quiet">{count === 1 ? "1 field changed" : `${count} fields changed`}</span>
        </div>
      )}
    </form>
  );
}

type SaveFailureProps = { workspace: Workspace; draft: Draft | undefined; failure: Failure };

function SaveFailure({ workspace, draft, failure }: SaveFailureProps) {
  if (failure.kind === "not-found" && draft) {
    const parent = draft.base.parentId === undefined ? null : (workspace.tree.find(draft.base.parentId) ?? null);
    return (
      <Notice>
        <p>Someone else deleted this group. Your changes are still here.</p>
        <button
          type="button"
          onClick={() => (workspace.dialog.value = { kind: "create", parent, values: draft.values })}
        >
          Create it again
        </button>
      </Notice>
    );
  }
  return (
    <Notice>
      <p>{failure.kind === "invalid" ? "Not saved." : failure.message}</p>
      <p>{advice(failure)}</p>
    </Notice>
  );
}

export function Notice({ children }: { children: ComponentChildren }) {
  return (
    <div class="notice is-failure" role="alert">
      {children}
    </div>
  );
}

function Metadata({ group }: { group: CustomerGroup }) {
  const copy = async () => {
    // Browsers allow the clipboard only over HTTPS and on localhost.
    await navigator.clipboard?.writeText(group.id);
    announce("Id copied.");
  };
  return (
    <dl class="metadata">
      <dt>Id</dt>
      <dd>
        <code>{group.id}</code>
        {window.isSecureContext && (
          <button type="button" class="icon-button" aria-label="Copy the id" onClick={() => void copy()}>
            <Icon name="copy" />
          </button>
        )}
      </dd>
      <dt>Parent</dt>
      <dd>{group.parentId === undefined ? "None (top level)" : <code>{group.parentId}</code>}</dd>
      <dt>Created</dt>
      <dd>{formatTime(group.createdAt)}</dd>
      <dt>Updated</dt>
      <dd>{formatTime(group.updatedAt)}</dd>
    </dl>
  );
}

const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function formatTime(at: CustomerGroup["createdAt"]) {
  if (!at) return "";
  const date = new Date(Number(at.seconds) * 1_000 + at.nanos / 1e6);
  return (
    <time dateTime={date.toISOString()} title={date.toISOString()}>
      {TIME.format(date)}
    </time>
  );
}

export function create(workspace: Workspace, parent: CustomerGroup | null): void {
  workspace.dialog.value = { kind: "create", parent, values: null };
}
