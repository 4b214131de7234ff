// Finding groups by their names while one types.

import { signal } from "@preact/signals";
import type { Api, CustomerGroup } from "./api";
import { asFailure, type Failure } from "./failure";

export type Found =
  | { is: "idle" }
  | { is: "searching" }
  | { is: "failed"; failure: Failure }
  | { is: "found"; groups: CustomerGroup[]; hasMore: boolean; total: number };

const PAGE = 50;

// How long one may pause between two letters.
const PAUSE_MS = 200;

export class Search {
  readonly text = signal("");
  readonly found = signal<Found>({ is: "idle" });
  // The result that the keyboard is at.
  readonly active = signal(0);
  // What is above those that were looked at, their parent first.
  readonly paths = signal<ReadonlyMap<string, CustomerGroup[]>>(new Map());
  // The parents of the results.
  readonly parents = signal<ReadonlyMap<string, CustomerGroup>>(new Map());
  #api: Api;
  #timer: ReturnType<typeof setTimeout> | undefined;
  // Gives up what was asked for before.
  #call = new AbortController();
  #asked = new Set<string>();
  // Whether what is shown was found for another text.
  #isStale = false;

  constructor(api: Api) {
    this.#api = api;
  }

  enter(text: string): void {
    this.text.value = text;
    this.#isStale = true;
    clearTimeout(this.#timer);
    this.#call.abort();
    if (text.trim() === "") {
      this.found.value = { is: "idle" };
      return;
    }
    if (this.found.value.is !== "found") this.found.value = { is: "searching" };
    this.#timer = setTimeout(() => void this.#find(), PAUSE_MS);
  }

  clear(): void {
    this.enter("");
  }

  retry(): void {
    this.found.value = { is: "searching" };
    void this.#find();
  }

  async more(): Promise<void> {
    const found = this.found.value;
    const last = found.is === "found" ? found.groups.at(-1) : undefined;
    if (found.is !== "found" || !last) return;
    await this.#ask(last.id, found.groups);
  }

  step(by: number): void {
    const found = this.found.value;
    if (found.is !== "found" || found.groups.length === 0) return;
    this.#activate(Math.max(0, Math.min(found.groups.length - 1, this.active.value + by)));
  }

  get chosen(): CustomerGroup | undefined {
    const found = this.found.value;
    return found.is === "found" && !this.#isStale ? found.groups[this.active.value] : undefined;
  }

  // Asks what is above a result.
  async trace(id: string): Promise<void> {
    if (this.#asked.has(id)) return;
    this.#asked.add(id);
    try {
      const above = await this.#api.ancestors(id);
      this.paths.value = new Map(this.paths.value).set(id, above);
    } catch {
      // It can be asked for again.
      this.#asked.delete(id);
    }
  }

  async #find(): Promise<void> {
    await this.#ask(undefined, []);
  }

  async #ask(after: string | undefined, before: CustomerGroup[]): Promise<void> {
    this.#call.abort();
    const call = new AbortController();
    this.#call = call;
    try {
      const window = { limit: PAGE, ...(after === undefined ? {} : { after }) };
      const page = await this.#api.search(this.text.value.trim(), window, call.signal);
      if (call.signal.aborted) return;
      this.#isStale = false;
      const { hasMore, total } = page;
      this.found.value = { is: "found", groups: [...before, ...page.groups], hasMore, total };
      if (after === undefined) this.#activate(0);
      await this.#findParents(page.groups, call.signal);
    } catch (error) {
      if (!call.signal.aborted) this.found.value = { is: "failed", failure: asFailure(error) };
    }
  }

  // One parent says much, for one call; the whole path is asked for when a result is looked at.
  async #findParents(groups: CustomerGroup[], signal: AbortSignal): Promise<void> {
    const ids = new Set(groups.flatMap(({ parentId }) => parentId ?? []).filter((id) => !this.parents.value.has(id)));
    if (ids.size === 0) return;
    try {
      const parents = await this.#api.getAll([...ids], signal);
      this.parents.value = new Map([...this.parents.value, ...parents.map((group) => [group.id, group] as const)]);
    } catch {
      // One of them was deleted meanwhile. The results are worth showing without.
    }
  }

  #activate(index: number): void {
    this.active.value = index;
    const { chosen } = this;
    if (chosen) void this.trace(chosen.id);
  }
}
