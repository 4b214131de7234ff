// Drag and drop: moves a group below the row that it is dropped on.

import { signal } from "@preact/signals";
import type { CustomerGroup } from "./api";
import type { Row } from "./tree";
import type { Workspace } from "./workspace";

// The time that the pointer hovers over a collapsed node before it opens.
const OPEN_DELAY_MS = 700;

export class Dragging {
  // The id of the group under the pointer, if it accepts the drop.
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
        if (!this.#accepts(row, group)) return;
        event.preventDefault();
        this.#setTarget(group);
      },
      onDragLeave: () => this.#setTarget(null),
      onDrop: (event: DragEvent) => {
        event.preventDefault();
        const moved = dragged.value;
        this.#end();
        if (moved) void this.#workspace.drop(moved, group);
      },
    };
  }

  // Refuses the group itself, its descendants, and its current parent.
  #accepts(row: Row, group: CustomerGroup): boolean {
    const moved = this.#workspace.dragged.value;
    if (!moved || moved.id === group.id || moved.parentId === group.id) return false;
    return !this.#workspace.tree.ancestorsOf(row.parent).some(({ id }) => id === moved.id);
  }

  #setTarget(group: CustomerGroup | null): void {
    const id = group?.id ?? null;
    if (this.target.value === id) return;
    this.target.value = id;
    clearTimeout(this.#timer);
    const { tree } = this.#workspace;
    if (id !== null && !tree.isOpen(id)) this.#timer = setTimeout(() => void tree.open(id), OPEN_DELAY_MS);
  }

  #end(): void {
    this.#setTarget(null);
    this.#workspace.dragged.value = null;
  }
}
