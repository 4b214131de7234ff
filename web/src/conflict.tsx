// Conflict resolution: the user's draft beside the version that someone else saved, field by field.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type CustomerGroup, parentOf } from "./api";
import { changed, type Draft } from "./drafts";
import { announce } from "./messages";
import { FIELD_NAMES, labelOf, type ValueName, type Values, valuesOf } from "./values";
import type { Workspace } from "./workspace";

type Side = "mine" | "theirs";

type Props = { workspace: Workspace; draft: Draft; theirs: CustomerGroup };

export function Conflict({ workspace, draft, theirs }: Props) {
  const { drafts, session } = workspace;
  const [base, mine, other] = [valuesOf(draft.base), draft.values, valuesOf(theirs)];
  const heading = useRef<HTMLHeadingElement>(null);
  // Fields that the user did not change default to the saved version.
  const defaults = () =>
    Object.fromEntries(FIELD_NAMES.map((name) => [name, mine[name] === base[name] ? "theirs" : "mine"]));
  const sides = useSignal(defaults() as Record<ValueName, Side>);
  useEffect(() => heading.current?.focus(), []);
  const differing = FIELD_NAMES.filter((name) => mine[name] !== other[name]);
  const resolve = async (event: Event) => {
    event.preventDefault();
    const chosen = FIELD_NAMES.map((name) => [name, (sides.value[name] === "mine" ? mine : other)[name]]);
    const values = Object.fromEntries(chosen) as Values;
    workspace.updated(theirs);
    drafts.resolve(draft.base.id, values);
    if (changed(other, values).length === 0) return announce("Your changes were not saved.");
    const saved = await drafts.save(draft.base.id, session.api);
    if (!saved) return;
    workspace.updated(saved);
    announce(`“${saved.customerGroupName}” was saved.`);
  };
  const keepTheirs = () => {
    workspace.updated(theirs);
    drafts.discard(draft.base.id);
    announce("Your changes were discarded.");
  };
  return (
    <form class="conflict" onSubmit={resolve} aria-labelledby="conflict-title">
      <h3 id="conflict-title" ref={heading} tabIndex={-1}>
        Someone else changed this group in the meantime
      </h3>
      <p class="quiet">Nothing is lost. Choose a value for each field, then save.</p>
      {parentOf(theirs) !== parentOf(draft.base) && <p>They also moved the group. It stays below its new parent.</p>}
      {differing.map((name) => (
        <Choice
          key={name}
          {...{ name, base: base[name], mine: mine[name], theirs: other[name] }}
          side={sides.value[name]}
          onChoose={(side) => (sides.value = { ...sides.value, [name]: side })}
        />
      ))}
      {differing.length === 0 && <p>Both versions are the same.</p>}
      <div class="save-bar">
        <button class="primary">Save chosen values</button>
        <button type="button" onClick={keepTheirs}>
          Discard mine
        </button>
      </div>
    </form>
  );
}

type Value = Values[ValueName];
type ChoiceProps = {
  name: ValueName;
  base: Value;
  mine: Value;
  theirs: Value;
  side: Side;
  onChoose: (side: Side) => void;
};

function Choice({ name, base, mine, theirs, side, onChoose }: ChoiceProps) {
  const option = (of: Side, label: string, value: Value) => (
    <label class={side === of ? "option is-chosen" : "option"}>
      <input type="radio" name={name} checked={side === of} onChange={() => onChoose(of)} />
      <span class="option-of">{label}</span> <span class="option-value">{formatted(value)}</span>
    </label>
  );
  return (
    <fieldset>
      <legend>
        {labelOf(name)} <span class="quiet">was {formatted(base)}</span>
      </legend>
      {option("mine", "Yours", mine)}
      {option("theirs", "Theirs", theirs)}
    </fieldset>
  );
}

function formatted(value: Value) {
  if (value === null) return <em>not set</em>;
  if (value === "") return <em>empty</em>;
  return typeof value === "boolean" ? (value ? "yes" : "no") : value;
}
