// View model of the tree: open nodes, row order, keyboard focus.

import { signal } from "@preact/signals";
import { type Api, type CustomerGroup, type ParentId, parentOf } from "./api";
import { Children } from "./children";

export type Place = { parent: ParentId; index: number };

export type Row = Place & {
  level: number;
  // Undefined until it is loaded.
  group: CustomerGroup | undefined;
  list: Children;
};

// A list and its open nodes, in list order. `size` counts the rows of all of them.
type Layout = { list: Children; level: number; size: number; open: { index: number; layout: Layout }[] };

export class Tree {
  // Incremented on every visible change.
  readonly version = signal(0);
  // The row that has keyboard focus.
  readonly active = signal<Place>({ parent: null, index: 0 });
  #api: Api;
  #lists = new Map<ParentId, Children>();
  #open = new Set<string>();
  #layout: Layout | null = null;

  constructor(api: Api) {
    this.#api = api;
  }

  list(parent: ParentId): Children {
    let list = this.#lists.get(parent);
    if (!list) {
      list = new Children(this.#api, parent, () => this.#change());
      this.#lists.set(parent, list);
    }
    return list;
  }

  get size(): number {
    return this.#root().size;
  }

  row(number: number): Row {
    let [layout, offset] = [this.#root(), number];
    descend: for (;;) {
      let passed = 0;
      for (const { index, layout: below } of layout.open) {
        const first = index + 1 + passed;
        if (offset < first) break;
        if (offset < first + below.size) {
          [layout, offset] = [below, offset - first];
          continue descend;
        }
        passed += below.size;
      }
      return this.#rowIn(layout, offset - passed);
    }
  }

  // Returns the row number of a place, or undefined if one of its ancestors is closed.
  numberOf({ parent, index }: Place): number | undefined {
    return find(this.#root(), parent, index);
  }

  isOpen(id: string): boolean {
    return this.#open.has(id);
  }

  // Returns whether a group has children, or may have some because they are not loaded yet.
  canOpen(id: string): boolean {
    return this.#lists.get(id)?.total !== 0;
  }

  open(id: string): Promise<void> {
    this.#open.add(id);
    this.#change();
    return this.list(id).ensureLoaded(0);
  }

  // Closes a node. Takes the keyboard focus if a descendant had it.
  close(row: Row, id: string): void {
    const number = this.numberOf(row);
    const active = this.numberOf(this.active.value);
    const last = (number ?? 0) + (this.#sizeBelow(row) ?? 0);
    this.#open.delete(id);
    if (number !== undefined && active !== undefined && active > number && active <= last) {
      this.active.value = { parent: row.parent, index: row.index };
    }
    this.#change();
  }

  // Opens the ancestors of a group (parent first) and loads its page. Returns whether the group was found.
  async reveal(group: CustomerGroup, ancestors: CustomerGroup[]): Promise<boolean> {
    const chain = [group, ...ancestors];
    const found = await Promise.all(chain.map((node) => this.list(parentOf(node)).locate(node.id)));
    for (const node of ancestors) this.#open.add(node.id);
    this.#change();
    return found.every((index) => index !== undefined);
  }

  // Returns the loaded ancestors of a place, parent first.
  ancestorsOf(parent: ParentId): CustomerGroup[] {
    const ancestors: CustomerGroup[] = [];
    for (let id = parent; id !== null;) {
      const group = this.find(id);
      if (!group) break;
      ancestors.push(group);
      id = parentOf(group);
    }
    return ancestors;
  }

  find(id: string): CustomerGroup | undefined {
    for (const list of this.#lists.values()) {
      const index = list.indexOf(id);
      if (index !== undefined) return list.at(index);
    }
    return undefined;
  }

  added(group: CustomerGroup): void {
    this.#lists.get(parentOf(group))?.prepend(group);
  }

  updated(group: CustomerGroup): void {
    this.#lists.get(parentOf(group))?.replace(group);
  }

  moved(group: CustomerGroup, from: ParentId): void {
    this.#lists.get(from)?.remove(group.id);
    this.#lists.get(parentOf(group))?.reset();
  }

  removed(group: CustomerGroup): void {
    this.#lists.get(parentOf(group))?.remove(group.id);
    this.#lists.delete(group.id);
    this.#open.delete(group.id);
    this.#change();
  }

  // Reloads the open lists and drops the others.
  refresh(): void {
    for (const [parent, list] of this.#lists) {
      if (parent === null || this.#open.has(parent)) list.reset();
      else this.#lists.delete(parent);
    }
    this.#change();
  }

  #change(): void {
    this.#layout = null;
    this.version.value += 1;
  }

  #root(): Layout {
    this.#layout ??= this.#buildLayout(this.list(null), 1);
    return this.#layout;
  }

  #buildLayout(list: Children, level: number): Layout {
    const open: Layout["open"] = [];
    for (const id of this.#open) {
      const index = list.indexOf(id);
      if (index !== undefined) open.push({ index, layout: this.#buildLayout(this.list(id), level + 1) });
    }
    open.sort((a, b) => a.index - b.index);
    // One placeholder row until the first page is loaded.
    const own = list.total ?? 1;
    return { list, level, size: open.reduce((sum, { layout }) => sum + layout.size, own), open };
  }

  #rowIn({ list, level }: Layout, index: number): Row {
    return { parent: list.parent, index, level, group: list.at(index), list };
  }

  #sizeBelow(row: Row): number | undefined {
    const first = this.numberOf({ parent: row.parent, index: row.index + 1 });
    const own = this.numberOf(row);
    return first === undefined || own === undefined ? undefined : first - own - 1;
  }
}

function find(layout: Layout, parent: ParentId, index: number): number | undefined {
  if (layout.list.parent === parent) {
    return layout.open.reduce((number, open) => (open.index < index ? number + open.layout.size : number), index);
  }
  let passed = 0;
  for (const open of layout.open) {
    const within = find(open.layout, parent, index);
    if (within !== undefined) return open.index + 1 + passed + within;
    passed += open.layout.size;
  }
  return undefined;
}
