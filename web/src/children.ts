// The groups below one node, newest first: as many as there are, of which those that were looked at are loaded.

import type { Api, CustomerGroup, ParentId, Window } from "./api";
import { asFailure, type Failure } from "./failure";

// How many are asked for at once.
const PAGE = 200;

export class Children {
  readonly parent: ParentId;
  // The exact number; undefined until the first page came.
  total: number | undefined;
  // Why they could not be loaded, until it is tried again.
  failure: Failure | null = null;
  #api: Api;
  #onChange: () => void;
  // By their positions, with holes.
  #groups: (CustomerGroup | undefined)[] = [];
  #positions: Map<string, number> | null = null;
  // Where the pages begin that are on their way.
  #pending = new Map<number, Promise<void>>();
  // Grows when what is on its way is of no use any more.
  #generation = 0;

  constructor(api: Api, parent: ParentId, onChange: () => void) {
    this.#api = api;
    this.parent = parent;
    this.#onChange = onChange;
  }

  at(index: number): CustomerGroup | undefined {
    return this.#groups[index];
  }

  // Where a group is, if it is loaded.
  indexOf(id: string): number | undefined {
    if (this.#positions === null) {
      const positions = new Map<string, number>();
      this.#groups.forEach((group, index) => group && positions.set(group.id, index));
      this.#positions = positions;
    }
    return this.#positions.get(id);
  }

  // Loads the page around a position, unless it is there or on its way, or the last one could not be loaded.
  want(index: number): Promise<void> {
    const isKnown = this.#groups[index] !== undefined || (this.total !== undefined && index >= this.total);
    if (isKnown || this.failure) return Promise.resolve();
    for (const [start, page] of this.#pending) {
      if (index >= start && index < start + PAGE) return page;
    }
    let start = index - (index % PAGE);
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

  // Forgets what was loaded.
  reset(): void {
    this.#groups = [];
    this.failure = null;
    this.#pending.clear();
    this.#generation += 1;
    this.#change();
  }

  // Puts a group that was just made where the newest is.
  addNewest(group: CustomerGroup): void {
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

  // Finds where a group is among all, loaded or not, and loads what is around it. Ids sort as the list does, so that
  // halving finds it in a few calls.
  async locate(id: string): Promise<number | undefined> {
    await this.want(0);
    while (this.indexOf(id) === undefined) {
      const total = this.total;
      if (this.failure || total === undefined) return undefined;
      let [low, high] = [0, total];
      this.#groups.forEach((group, index) => {
        if (group && group.id > id) low = Math.max(low, index + 1);
        if (group && group.id < id) high = Math.min(high, index);
      });
      if (low >= high) return undefined;
      if (high - low <= PAGE) {
        await this.want(low);
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
      if (groups[0]) this.#put(index, groups);
      else this.reset();
    } catch (error) {
      this.failure = asFailure(error);
      this.#change();
    }
  }

  async #load(start: number, generation: number): Promise<void> {
    const cursor = this.#cursor(start);
    try {
      const page = await this.#api.children(this.parent, { limit: PAGE, ...cursor });
      if (generation !== this.#generation) return;
      if (page.groups.length === 0 && start > 0) {
        // Nothing is where something was: so much went that no position is right any more.
        this.total = page.total;
        return this.reset();
      }
      const total = page.hasMore ? page.total : start + page.groups.length;
      if (this.total !== undefined && this.total !== total) this.#forgetAllBut(start, cursor);
      this.total = total;
      this.#put(start, page.groups);
    } catch (error) {
      if (generation !== this.#generation) return;
      this.failure = asFailure(error);
      this.#change();
    }
  }

  // The way to a position: after the nearest group before it that is loaded.
  #cursor(index: number): Omit<Window, "limit"> {
    for (let near = index - 1; near >= 0; near -= 1) {
      const group = this.#groups[near];
      if (group) return { after: group.id, offset: index - near - 1 };
    }
    return { offset: index };
  }

  // Groups came or went, so that positions are others now. What the new page was asked for after is right before it.
  #forgetAllBut(start: number, cursor: Omit<Window, "limit">): void {
    const before = cursor.offset === 0 ? start - PAGE : start;
    this.#groups = this.#groups.map((group, index) => (index >= before && index < start ? group : undefined));
  }

  #put(start: number, groups: CustomerGroup[]): void {
    groups.forEach((group, index) => (this.#groups[start + index] = group));
    this.#change();
  }

  #change(): void {
    this.#positions = null;
    this.#onChange();
  }
}
