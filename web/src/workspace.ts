// State of a signed-in session: the tree, the shown group, the drafts and the open dialog. Applies every change to all.

import { signal } from "@preact/signals";
import { type CustomerGroup, type ParentId, parentOf } from "./api";
import { Drafts } from "./drafts";
import { asFailure, type Failure } from "./failure";
import { announce } from "./messages";
import type { Session } from "./session";
import { type Place, Tree } from "./tree";
import type { Values } from "./values";

export type Shown =
  | { kind: "nothing" }
  | { kind: "loading"; id: string }
  | { kind: "failed"; id: string; failure: Failure }
  // `ancestors` starts with the parent; null until loaded.
  | { kind: "group"; group: CustomerGroup; ancestors: CustomerGroup[] | null };

export type Dialog =
  | { kind: "create"; parent: CustomerGroup | null; values: Values | null }
  | { kind: "move"; group: CustomerGroup }
  | { kind: "delete"; group: CustomerGroup };

export class Workspace {
  readonly session: Session;
  readonly tree: Tree;
  readonly drafts: Drafts;
  readonly shown = signal<Shown>({ kind: "nothing" });
  readonly dialog = signal<Dialog | null>(null);
  // The group that is being dragged.
  readonly dragged = signal<CustomerGroup | null>(null);
  // Incremented to scroll to the active row.
  readonly scrollRequests = signal(0);

  constructor(session: Session, drafts = new Drafts()) {
    this.session = session;
    this.drafts = drafts;
    this.tree = new Tree(session.api);
    void this.tree.list(null).ensureLoaded(0);
  }

  // Shows a group and reveals it in the tree. `null` shows none.
  async show(id: string | null): Promise<void> {
    if (id === null) {
      this.shown.value = { kind: "nothing" };
      return;
    }
    const known = this.tree.find(id);
    if (known) this.#activate(known);
    this.shown.value = known ? { kind: "group", group: known, ancestors: null } : { kind: "loading", id };
    const { api } = this.session;
    try {
      const [group, ancestors] = await Promise.all([api.get(id), api.ancestors(id)]);
      if (!this.#isShown(id)) return;
      this.shown.value = { kind: "group", group, ancestors };
      await this.#reveal(group, ancestors);
    } catch (error) {
      if (this.#isShown(id)) this.shown.value = { kind: "failed", id, failure: asFailure(error) };
    }
  }

  async refresh(): Promise<void> {
    this.tree.refresh();
    const shown = this.shown.value;
    if (shown.kind === "group") await this.show(shown.group.id);
    if (shown.kind === "failed") await this.show(shown.id);
  }

  async create(parent: ParentId, values: Values, idempotencyKey: string): Promise<void> {
    const group = await this.session.api.create(parent, values, idempotencyKey);
    this.tree.added(group);
    announce(`“${group.customerGroupName}” was created.`);
    select(group.id);
  }

  // Replaces a group by its new version wherever it is shown.
  updated(group: CustomerGroup): void {
    this.tree.updated(group);
    const shown = this.shown.value;
    if (shown.kind !== "group") return;
    if (shown.group.id === group.id) this.shown.value = { ...shown, group };
    const ancestors = shown.ancestors?.map((node) => (node.id === group.id ? group : node)) ?? null;
    if (shown.group.id !== group.id) this.shown.value = { ...shown, ancestors };
  }

  async move(group: CustomerGroup, parent: CustomerGroup | null): Promise<void> {
    const from = parentOf(group);
    const moved = await this.#attempt(group, () => this.session.api.move(group.id, group.etag, parent?.id ?? null));
    this.tree.moved(moved, from);
    this.drafts.rebase(group, moved);
    const undo = () => void this.#moveBack(moved, from);
    announce(`“${moved.customerGroupName}” is now ${under(parent)}.`, { label: "Undo", run: undo });
    if (this.#isShown(moved.id)) await this.show(moved.id);
    else select(moved.id);
  }

  // Moves a group by drag and drop. No dialog is open, so a failure is announced.
  async drop(group: CustomerGroup, parent: CustomerGroup | null): Promise<void> {
    await this.move(group, parent).catch((error) => this.#announceMoveFailure(group, error));
  }

  async #moveBack(group: CustomerGroup, to: ParentId): Promise<void> {
    try {
      const parent = to === null ? null : await this.session.api.get(to);
      await this.move(group, parent);
    } catch (error) {
      await this.#announceMoveFailure(group, error);
    }
  }

  async delete(group: CustomerGroup): Promise<void> {
    await this.#attempt(group, () => this.session.api.delete(group.id, group.etag));
    this.tree.removed(group);
    this.drafts.discard(group.id);
    announce(`“${group.customerGroupName}” was deleted.`);
    if (this.#isShown(group.id)) select(parentOf(group));
  }

  // Runs a change. On a conflict, loads the current version, so that the user can try again.
  async #attempt<T>(group: CustomerGroup, change: () => Promise<T>): Promise<T> {
    try {
      return await change();
    } catch (error) {
      if (asFailure(error).kind === "conflict") await this.#reload(group);
      throw error;
    }
  }

  async #reload(group: CustomerGroup): Promise<void> {
    const current = await this.session.api.get(group.id);
    if (parentOf(current) === parentOf(group)) this.updated(current);
    else this.tree.moved(current, parentOf(group));
    const dialog = this.dialog.value;
    if (dialog && dialog.kind !== "create") this.dialog.value = { ...dialog, group: current };
  }

  async #announceMoveFailure(group: CustomerGroup, error: unknown): Promise<void> {
    const failure = asFailure(error);
    announce(`“${group.customerGroupName}” was not moved. ${failure.message}`, undefined, "failure");
    if (failure.kind === "conflict" || failure.kind === "not-found") await this.refresh();
  }

  // Reveals a group in the tree, unless its row is visible already.
  async #reveal(group: CustomerGroup, ancestors: CustomerGroup[]): Promise<void> {
    this.tree.updated(group);
    if (this.#placeOf(group)) return;
    const isFound = await this.tree.reveal(group, ancestors);
    if (isFound && this.#isShown(group.id)) this.#activate(group);
  }

  // Moves the keyboard focus to the row of a group, if it has one.
  #activate(group: CustomerGroup): void {
    const place = this.#placeOf(group);
    if (!place) return;
    this.tree.active.value = place;
    this.scrollRequests.value += 1;
  }

  #placeOf(group: CustomerGroup): Place | undefined {
    const parent = parentOf(group);
    const index = this.tree.list(parent).indexOf(group.id);
    if (index === undefined || this.tree.numberOf({ parent, index }) === undefined) return undefined;
    return { parent, index };
  }

  #isShown(id: string): boolean {
    const shown = this.shown.value;
    switch (shown.kind) {
      case "nothing":
        return false;
      case "group":
        return shown.group.id === id;
      case "loading":
      case "failed":
        return shown.id === id;
    }
  }
}

function under(parent: CustomerGroup | null): string {
  return parent ? `in “${parent.customerGroupName}”` : "at the top level";
}

// The URL fragment holds the id of the selected group.
export function select(id: string | null): void {
  location.hash = `#/${id ?? ""}`;
}

export function selected(): string | null {
  return location.hash.replace(/^#\/?/, "") || null;
}
