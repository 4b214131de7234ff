// Unsaved changes of the edit form, by group. They survive navigation to other groups.

import { signal } from "@preact/signals";
import type { Api, CustomerGroup } from "./api";
import { asFailure, type Failure } from "./failure";
import { FIELD_NAMES, type ValueName, type Values, valuesOf } from "./values";

export type Draft = {
  // The version that the draft is based on.
  base: CustomerGroup;
  values: Values;
  failure: Failure | null;
  isSaving: boolean;
  // The version that someone else saved in the meantime; set on a conflict.
  theirs: CustomerGroup | null;
};

export class Drafts {
  readonly all = signal<ReadonlyMap<string, Draft>>(new Map());

  of(id: string): Draft | undefined {
    return this.all.value.get(id);
  }

  // Sets one field of a draft. Discards the draft when nothing differs from its base.
  edit<N extends ValueName>(group: CustomerGroup, name: N, value: Values[N]): void {
    const draft = this.of(group.id) ?? {
      base: group,
      values: valuesOf(group),
      failure: null,
      isSaving: false,
      theirs: null,
    };
    const values = { ...draft.values, [name]: value };
    const otherViolations = new Map(draft.failure?.fields);
    otherViolations.delete(name);
    const isCorrected = draft.failure?.kind === "invalid" && otherViolations.size === 0;
    const failure = isCorrected ? null : draft.failure;
    if (changed(valuesOf(draft.base), values).length === 0) this.discard(group.id);
    else this.#set({ ...draft, values, failure });
  }

  discard(id: string): void {
    const all = new Map(this.all.value);
    all.delete(id);
    this.all.value = all;
  }

  // Moves a draft to a newer version that has the same field values.
  rebase(from: CustomerGroup, to: CustomerGroup): void {
    const draft = this.of(from.id);
    if (draft && draft.base.etag === from.etag) this.#set({ ...draft, base: to });
  }

  // Saves a draft and returns the new version, or null on failure. On a conflict, loads the current version into
  // `theirs`.
  async save(id: string, api: Api): Promise<CustomerGroup | null> {
    const draft = this.of(id);
    if (!draft || draft.isSaving) return null;
    this.#set({ ...draft, isSaving: true, failure: null });
    const { base, values } = draft;
    try {
      const saved = await api.update(id, base.etag, values, changed(valuesOf(base), values));
      this.discard(id);
      return saved;
    } catch (error) {
      await this.#fail(draft, asFailure(error), api);
      return null;
    }
  }

  // Resolves a conflict: bases the draft on the current version, with the chosen values.
  resolve(id: string, values: Values): void {
    const draft = this.of(id);
    if (!draft?.theirs) return;
    const isSame = changed(valuesOf(draft.theirs), values).length === 0;
    if (isSame) this.discard(id);
    else this.#set({ ...draft, base: draft.theirs, theirs: null, values, failure: null });
  }

  async #fail(draft: Draft, failure: Failure, api: Api): Promise<void> {
    if (failure.kind !== "conflict") {
      this.#set({ ...draft, failure });
      return;
    }
    try {
      this.#set({ ...draft, theirs: await api.get(draft.base.id) });
    } catch (error) {
      this.#set({ ...draft, failure: asFailure(error) });
    }
  }

  #set(draft: Draft): void {
    this.all.value = new Map(this.all.value).set(draft.base.id, draft);
  }
}

// Returns the names of the fields that differ.
export function changed(from: Values, to: Values): ValueName[] {
  return FIELD_NAMES.filter((name) => from[name] !== to[name]);
}
