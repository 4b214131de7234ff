// Changes that were entered and not saved. They are kept while other groups are looked at.

import { signal } from "@preact/signals";
import { type Api, type CustomerGroup, type ValueName, type Values, valuesOf } from "./api";
import { asFailure, type Failure } from "./failure";

export type Draft = {
  // The version that is changed.
  base: CustomerGroup;
  values: Values;
  failure: Failure | null;
  isSaving: boolean;
  // The version that someone else made of it meanwhile.
  theirs: CustomerGroup | null;
};

export const NAMES: ValueName[] = [
  "customer_group_name",
  "is_group",
  "parent_customer_group",
  "default_price_list",
  "payment_terms",
];

export class Drafts {
  readonly all = signal<ReadonlyMap<string, Draft>>(new Map());

  of(id: string): Draft | undefined {
    return this.all.value.get(id);
  }

  // Takes what was entered; a draft that changes nothing is none.
  enter<N extends ValueName>(group: CustomerGroup, name: N, value: Values[N]): void {
    const draft = this.of(group.id) ?? {
      base: group,
      values: valuesOf(group),
      failure: null,
      isSaving: false,
      theirs: null,
    };
    const values = { ...draft.values, [name]: value };
    const left = new Map(draft.failure?.fields);
    left.delete(name);
    const isMended = draft.failure?.kind === "invalid" && left.size === 0;
    const failure = isMended ? null : draft.failure;
    if (changed(valuesOf(draft.base), values).length === 0) this.discard(group.id);
    else this.#set({ ...draft, values, failure });
  }

  discard(id: string): void {
    const all = new Map(this.all.value);
    all.delete(id);
    this.all.value = all;
  }

  // Lets a draft go on from a version that differs in none of its fields.
  rebase(from: CustomerGroup, to: CustomerGroup): void {
    const draft = this.of(from.id);
    if (draft && draft.base.etag === from.etag) this.#set({ ...draft, base: to });
  }

  // Saves a draft; the new version, unless that failed. When someone else changed the group meanwhile, the draft gets
  // their version beside its own.
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

  // Settles a conflict: what was chosen is now a draft of their version.
  settle(id: string, values: Values): void {
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

// The fields that differ.
export function changed(from: Values, to: Values): ValueName[] {
  return NAMES.filter((name) => from[name] !== to[name]);
}
