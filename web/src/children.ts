// The children of one node, newest first. Pages are loaded on demand.

import type { Api, CustomerGroup, ParentId, Window } from "./api";
import { asFailure, type Failure } from "./failure";

const PAGE_SIZE = 200;

export class Children {
  readonly parent: ParentId;
  // The exact number of children; undefined until the first page is loaded.
  total: number | undefined;
  // The failure of the last request; null after a retry.
  failure: Failure | null = null;
  #api: Api;
  #onChange: () => void;
  // Sparse: only loaded positions are set.
  #groups: (CustomerGroup | undefined)[] = [];
  #positions: Map<string, number> | null = null;
  // Requests in flight, by the first position of their page.
  #pending = new Map<number, Promise<void>>();
  // Incremented to discard the responses of requests in flight.
  #generation = 0;

  constructor(api: Api, parent: ParentId, onChange: () => void) {
    this.#api = api;
    this.parent = parent;
    this.#onChange = onChange;
  }

  at(index: number): CustomerGroup | undefined {
    return this.#groups[index];
  }

  // Returns the position of a loaded group.
  indexOf(id: string): number | undefined {
    if (this.#positions === null) {
      const positions = new Map<string, number>();
      this.#groups.forEach((group, index) => group && positions.set(group.id, index));
      this.#positions = positions;
    }
    return this.#positions.get(id);
  }

  // Loads the page that contains a position, unless it is loaded or in flight, or the last request failed.
  ensureLoaded(index: number): Promise<void> {
    const isKnown = this.#groups[index] !== undefined || (this.total !== undefined && index >= this.total);
    if (isKnown || this.failure) return Promise.resolve();
    for (const [start, page] of this.#pending) {
      if (index >= start && index < start + PAGE_SIZE) return page;
    }
    let start = index - (index % PAGE_SIZE);
    while (this.#groups[start] !== undefined) start += 1;
    const page = this.#load(start, this.#generation).finally(() => {
      if (this.#pending.get(start) === page) this.#pending.delete(start);
    });
    this.#pending.set(start, page);
    return page;
  }

  retry(): void {
    this.failure = null;
    this.#change();
  }

  // Drops all loaded groups, so that they are loaded again.
  reset(): void {
    this.#groups = [];
    this.failure = null;
    this.#pending.clear();
    this.#generation += 1;
    this.#change();
  }

  // Inserts a group that was just created at the first position.
  prepend(group: CustomerGroup): void {
    if (this.total === undefined) return;
    if (this.#pending.size > 0) return this.reset();
    this.#groups.unshift(group);
    this.total += 1;
    this.#change();
  }

  replace(group: CustomerGroup): void {
    const index = this.indexOf(group.id);
    if (index === undefined) return;
    this.#groups[index] = group;
    this.#change();
  }

  remove(id: string): void {
    const index = this.indexOf(id);
    if (index === undefined || this.total === undefined) return this.reset();
    if (this.#pending.size > 0) return this.reset();
    this.#groups.splice(index, 1);
    this.total -= 1;
    this.#change();
  }

  // Finds the position of a group, loaded or not, and loads its page. The list is sorted by id, so a binary search needs
  // only a few calls.
  async locate(id: string): Promise<number | undefined> {
    await this.ensureLoaded(0);
    while (this.indexOf(id) === undefined) {
      const total = this.total;
      if (this.failure || total === undefined) return undefined;
      let [low, high] = [0, total];
      this.#groups.forEach((group, index) => {
        if (group && group.id > id) low = Math.max(low, index + 1);
        if (group && group.id < id) high = Math.min(high, index);
      });
      if (low >= high) return undefined;
      if (high - low <= PAGE_SIZE) {
        await this.ensureLoaded(low);
        if (this.#groups[low] === undefined) return undefined;
      } else {
        await this.#probe((low + high) >> 1);
      }
    }
    return this.indexOf(id);
  }

  async #probe(index: number): Promise<void> {
    try {
      const { groups, total } = await this.#api.children(this.parent, { limit: 1, ...this.#cursor(index) });
      this.total = total;
      if (groups[0]) this.#store(index, groups);
      else this.reset();
    } catch (error) {
      this.failure = asFailure(error);
      this.#change();
    }
  }

  async #load(start: number, generation: number): Promise<void> {
    const cursor = this.#cursor(start);
    try {
      const page = await this.#api.children(this.parent, { limit: PAGE_SIZE, ...cursor });
      if (generation !== this.#generation) return;
      if (page.groups.length === 0 && start > 0) {
        // The page is empty because many groups were deleted. No known position is valid any more.
        this.total = page.total;
        return this.reset();
      }
      const total = page.hasMore ? page.total : start + page.groups.length;
      if (this.total !== undefined && this.total !== total) this.#dropStale(start, cursor);
      this.total = total;
      this.#store(start, page.groups);
    } catch (error) {
      if (generation !== this.#generation) return;
      this.failure = asFailure(error);
      this.#change();
    }
  }

  // Returns the cursor for a position: the nearest loaded group before it, and the offset from there.
  #cursor(index: number): Omit<Window, "limit"> {
    for (let before = index - 1; before >= 0; before -= 1) {
      const group = this.#groups[before];
      if (group) return { after: group.id, offset: index - before - 1 };
    }
    return { offset: index };
  }

  // Groups were added or removed, so positions have shifted. Only the page directly before the new one keeps its position.
  #dropStale(start: number, cursor: Omit<Window, "limit">): void {
    const first = cursor.offset === 0 ? start - PAGE_SIZE : start;
    this.#groups = this.#groups.map((group, index) => (index >= first && index < start ? group : undefined));
  }

  #store(start: number, groups: CustomerGroup[]): void {
    groups.forEach((group, index) => (this.#groups[start + index] = group));
    this.#change();
  }

  #change(): void {
    this.#positions = null;
    this.#onChange();
  }
}
