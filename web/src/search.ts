// Search by name as the user types.

import { signal } from "@preact/signals";
import type { Api, CustomerGroup } from "./api";
import { asFailure, type Failure } from "./failure";

export type SearchState =
  | { kind: "idle" }
  | { kind: "searching" }
  | { kind: "failed"; failure: Failure }
  | { kind: "found"; groups: CustomerGroup[]; hasMore: boolean; total: number };

const PAGE_SIZE = 50;

// The search starts when no key was pressed for this long.
const DEBOUNCE_MS = 200;

export class Search {
  readonly text = signal("");
  readonly state = signal<SearchState>({ kind: "idle" });
  // The index of the result that has keyboard focus.
  readonly active = signal(0);
  // Ancestors of the results that were focused or hovered, parent first.
  readonly paths = signal<ReadonlyMap<string, CustomerGroup[]>>(new Map());
  // The parents of all results, by id.
  readonly parents = signal<ReadonlyMap<string, CustomerGroup>>(new Map());
  #api: Api;
  #timer: ReturnType<typeof setTimeout> | undefined;
  // Cancels the previous request.
  #request = new AbortController();
  #requestedPaths = new Set<string>();
  // Whether the results belong to an earlier text.
  #isStale = false;

  constructor(api: Api) {
    this.#api = api;
  }

  setText(text: string): void {
    this.text.value = text;
    this.#isStale = true;
    clearTimeout(this.#timer);
    this.#request.abort();
    if (text.trim() === "") {
      this.state.value = { kind: "idle" };
      return;
    }
    if (this.state.value.kind !== "found") this.state.value = { kind: "searching" };
    this.#timer = setTimeout(() => void this.#fetchFirst(), DEBOUNCE_MS);
  }

  clear(): void {
    this.setText("");
  }

  retry(): void {
    this.state.value = { kind: "searching" };
    void this.#fetchFirst();
  }

  async more(): Promise<void> {
    const state = this.state.value;
    const last = state.kind === "found" ? state.groups.at(-1) : undefined;
    if (state.kind !== "found" || !last) return;
    await this.#fetch(last.id, state.groups);
  }

  step(by: number): void {
    const state = this.state.value;
    if (state.kind !== "found" || state.groups.length === 0) return;
    this.#activate(Math.max(0, Math.min(state.groups.length - 1, this.active.value + by)));
  }

  get chosen(): CustomerGroup | undefined {
    const state = this.state.value;
    return state.kind === "found" && !this.#isStale ? state.groups[this.active.value] : undefined;
  }

  // Loads the ancestors of a result.
  async loadPath(id: string): Promise<void> {
    if (this.#requestedPaths.has(id)) return;
    this.#requestedPaths.add(id);
    try {
      const ancestors = await this.#api.ancestors(id);
      this.paths.value = new Map(this.paths.value).set(id, ancestors);
    } catch {
      // Allow another attempt.
      this.#requestedPaths.delete(id);
    }
  }

  async #fetchFirst(): Promise<void> {
    await this.#fetch(undefined, []);
  }

  async #fetch(after: string | undefined, previous: CustomerGroup[]): Promise<void> {
    this.#request.abort();
    const request = new AbortController();
    this.#request = request;
    try {
      const window = { limit: PAGE_SIZE, ...(after === undefined ? {} : { after }) };
      const page = await this.#api.search(this.text.value.trim(), window, request.signal);
      if (request.signal.aborted) return;
      this.#isStale = false;
      const { hasMore, total } = page;
      this.state.value = { kind: "found", groups: [...previous, ...page.groups], hasMore, total };
      if (after === undefined) this.#activate(0);
      await this.#loadParents(page.groups, request.signal);
    } catch (error) {
      if (!request.signal.aborted) this.state.value = { kind: "failed", failure: asFailure(error) };
    }
  }

  // Loads all parents in one call. A full path needs one call per result, so it is loaded only on focus or hover.
  async #loadParents(groups: CustomerGroup[], signal: AbortSignal): Promise<void> {
    const ids = new Set(groups.flatMap(({ parentId }) => parentId ?? []).filter((id) => !this.parents.value.has(id)));
    if (ids.size === 0) return;
    try {
      const parents = await this.#api.getAll([...ids], signal);
      this.parents.value = new Map([...this.parents.value, ...parents.map((group) => [group.id, group] as const)]);
    } catch {
      // One parent was deleted in the meantime. The results are useful without parents.
    }
  }

  #activate(index: number): void {
    this.active.value = index;
    const { chosen } = this;
    if (chosen) void this.loadPath(chosen.id);
  }
}
