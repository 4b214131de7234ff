// What one who is signed in works with: the tree, the group that is shown, and what becomes of both by each change.

import { signal } from "@preact/signals";
import { type CustomerGroup, type ParentId, parentOf, type Values } from "./api";
import { Drafts } from "./drafts";
import { asFailure, type Failure } from "./failure";
import { announce } from "./messages";
import type { Session } from "./session";
import { type Place, Tree } from "./tree";

export type Shown =
  | { is: "nothing" }
  | { is: "loading"; id: string }
  | { is: "failed"; id: string; failure: Failure }
  // `ancestors` has the parent first, and is null until it came.
  | { is: "group"; group: CustomerGroup; ancestors: CustomerGroup[] | null };

export type Dialog =
  | { is: "create"; parent: CustomerGroup | null; values: Values | null }
  | { is: "move"; group: CustomerGroup }
  | { is: "delete"; group: CustomerGroup };

export class Workspace {
  readonly session: Session;
  readonly tree: Tree;
  readonly drafts: Drafts;
  readonly shown = signal<Shown>({ is: "nothing" });
  readonly dialog = signal<Dialog | null>(null);
  // What is being dragged.
  readonly dragged = signal<CustomerGroup | null>(null);
  // Grows when the row of the keyboard is to be scrolled to.
  readonly scrolls = signal(0);

  constructor(session: Session, drafts = new Drafts()) {
    this.session = session;
    this.drafts = drafts;
    this.tree = new Tree(session.api);
    void this.tree.list(null).want(0);
  }

  // Shows a group, and its place in the tree. `null` shows none.
  async show(id: string | null): Promise<void> {
    if (id === null) {
      this.shown.value = { is: "nothing" };
      return;
    }
    const known = this.tree.find(id);
    if (known) this.#activate(known);
    this.shown.value = known ? { is: "group", group: known, ancestors: null } : { is: "loading", id };
    const { api } = this.session;
    try {
      const [group, ancestors] = await Promise.all([api.get(id), api.ancestors(id)]);
      if (!this.#isShown(id)) return;
      this.shown.value = { is: "group", group, ancestors };
      await this.#place(group, ancestors);
    } catch (error) {
      if (this.#isShown(id)) this.shown.value = { is: "failed", id, failure: asFailure(error) };
    }
  }

  async refresh(): Promise<void> {
    this.tree.refresh();
    const shown = this.shown.value;
    if (shown.is === "group") await this.show(shown.group.id);
    if (shown.is === "failed") await this.show(shown.id);
  }

  async create(parent: ParentId, values: Values, idempotencyKey: string): Promise<void> {
    const group = await this.session.api.create(parent, values, idempotencyKey);
    this.tree.added(group);
    announce(`“${group.customerGroupName}” was created.`);
    select(group.id);
  }

  // Takes note that a group is in a new version.
  updated(group: CustomerGroup): void {
    this.tree.updated(group);
    const shown = this.shown.value;
    if (shown.is !== "group") return;
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

  // Moves by dragging have no dialog that could say why they failed.
  async drop(group: CustomerGroup, parent: CustomerGroup | null): Promise<void> {
    await this.move(group, parent).catch((error) => this.#tellOfMove(group, error));
  }

  async #moveBack(group: CustomerGroup, to: ParentId): Promise<void> {
    try {
      const parent = to === null ? null : await this.session.api.get(to);
      await this.move(group, parent);
    } catch (error) {
      await this.#tellOfMove(group, error);
    }
  }

  async delete(group: CustomerGroup): Promise<void> {
    await this.#attempt(group, () => this.session.api.delete(group.id, group.etag));
    this.tree.removed(group);
    this.drafts.discard(group.id);
    announce(`“${group.customerGroupName}” was deleted.`);
    if (this.#isShown(group.id)) select(parentOf(group));
  }

  // What was meant for an earlier version can be tried again on the one that there is now.
  async #attempt<T>(group: CustomerGroup, change: () => Promise<T>): Promise<T> {
    try {
      return await change();
    } catch (error) {
      if (asFailure(error).kind === "conflict") await this.#catchUp(group);
      throw error;
    }
  }

  async #catchUp(group: CustomerGroup): Promise<void> {
    const current = await this.session.api.get(group.id);
    if (parentOf(current) === parentOf(group)) this.updated(current);
    else this.tree.moved(current, parentOf(group));
    const dialog = this.dialog.value;
    if (dialog && dialog.is !== "create") this.dialog.value = { ...dialog, group: current };
  }

  async #tellOfMove(group: CustomerGroup, error: unknown): Promise<void> {
    const failure = asFailure(error);
    announce(`“${group.customerGroupName}” was not moved. ${failure.message}`, undefined, "failure");
    if (failure.kind === "conflict" || failure.kind === "missing") await this.refresh();
  }

  // Opens the tree down to a group, unless its row is there already.
  async #place(group: CustomerGroup, ancestors: CustomerGroup[]): Promise<void> {
    this.tree.updated(group);
    if (this.#placeOf(group)) return;
    const isThere = await this.tree.reveal(group, ancestors);
    if (isThere && this.#isShown(group.id)) this.#activate(group);
  }

  // Brings the keyboard to the row of a group, if there is one.
  #activate(group: CustomerGroup): void {
    const place = this.#placeOf(group);
    if (!place) return;
    this.tree.active.value = place;
    this.scrolls.value += 1;
  }

  #placeOf(group: CustomerGroup): Place | undefined {
    const parent = parentOf(group);
    const index = this.tree.list(parent).indexOf(group.id);
    if (index === undefined || this.tree.numberOf({ parent, index }) === undefined) return undefined;
    return { parent, index };
  }

  #isShown(id: string): boolean {
    const shown = this.shown.value;
    switch (shown.is) {
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

// Where in the tree the page stands is in the fragment of its address.
export function select(id: string | null): void {
  location.hash = `#/${id ?? ""}`;
}

export function selected(): string | null {
  return location.hash.replace(/^#\/?/, "") || null;
}
