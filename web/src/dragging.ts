// Moving a group by dragging its row onto another one.

import { signal } from "@preact/signals";
import type { CustomerGroup } from "./api";
import type { Row } from "./tree";
import type { Workspace } from "./workspace";

// How long the pointer rests on a closed node before it opens.
const OPENS_AFTER_MS = 700;

export class Dragging {
  // What is dropped onto now.
  readonly target = signal<string | null>(null);
  #workspace: Workspace;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  handlers(row: Row, group: CustomerGroup) {
    const { dragged } = this.#workspace;
    return {
      onDragStart: (event: DragEvent) => {
        dragged.value = group;
        event.dataTransfer?.setData("text/plain", group.id);
      },
      onDragEnd: () => this.#end(),
      onDragOver: (event: DragEvent) => {
        if (!this.#takes(row, group)) return;
        event.preventDefault();
        this.#aim(group);
      },
      onDragLeave: () => this.#aim(null),
      onDrop: (event: DragEvent) => {
        event.preventDefault();
        const moved = dragged.value;
        this.#end();
        if (moved) void this.#workspace.drop(moved, group);
      },
    };
  }

  // A group goes below neither itself nor what is below it, and is below its parent already.
  #takes(row: Row, group: CustomerGroup): boolean {
    const moved = this.#workspace.dragged.value;
    if (!moved || moved.id === group.id || moved.parentId === group.id) return false;
    return !this.#workspace.tree.ancestorsOf(row.parent).some(({ id }) => id === moved.id);
  }

  #aim(group: CustomerGroup | null): void {
    const id = group?.id ?? null;
    if (this.target.value === id) return;
    this.target.value = id;
    clearTimeout(this.#timer);
    const { tree } = this.#workspace;
    if (id !== null && !tree.isOpen(id)) this.#timer = setTimeout(() => void tree.open(id), OPENS_AFTER_MS);
  }

  #end(): void {
    this.#aim(null);
    this.#workspace.dragged.value = null;
  }
}
