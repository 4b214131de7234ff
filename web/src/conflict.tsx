// Two versions of a group, field by field: what was entered here, and what someone else saved meanwhile.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type CustomerGroup, parentOf, type ValueName, type Values, valuesOf } from "./api";
import { changed, type Draft, NAMES } from "./drafts";
import { LABELS } from "./fields";
import { announce } from "./messages";
import type { Workspace } from "./workspace";

type Side = "mine" | "theirs";

type Props = { workspace: Workspace; draft: Draft; theirs: CustomerGroup };

export function Conflict({ workspace, draft, theirs }: Props) {
  const { drafts, session } = workspace;
  const [base, mine, other] = [valuesOf(draft.base), draft.values, valuesOf(theirs)];
  const heading = useRef<HTMLHeadingElement>(null);
  // What was not touched here is taken from them.
  const start = () => Object.fromEntries(NAMES.map((name) => [name, mine[name] === base[name] ? "theirs" : "mine"]));
  const sides = useSignal(start() as Record<ValueName, Side>);
  useEffect(() => heading.current?.focus(), []);
  const differing = NAMES.filter((name) => mine[name] !== other[name]);
  const settle = async (event: Event) => {
    event.preventDefault();
    const chosen = NAMES.map((name) => [name, (sides.value[name] === "mine" ? mine : other)[name]]);
    const values = Object.fromEntries(chosen) as Values;
    workspace.updated(theirs);
    drafts.settle(draft.base.id, values);
    if (changed(other, values).length === 0) return announce("Nothing of yours was kept.");
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
    <form class="conflict" onSubmit={settle} aria-labelledby="conflict-title">
      <h3 id="conflict-title" ref={heading} tabIndex={-1}>
        Someone else changed this group meanwhile
      </h3>
      <p class="quiet">Nothing is lost. Choose for each field what it shall be, then save.</p>
      {parentOf(theirs) !== parentOf(draft.base) && <p>They moved it too; it stays where it is now.</p>}
      {differing.map((name) => (
        <Choice
          key={name}
          {...{ name, base: base[name], mine: mine[name], theirs: other[name] }}
          side={sides.value[name]}
          onChoose={(side) => (sides.value = { ...sides.value, [name]: side })}
        />
      ))}
      {differing.length === 0 && <p>Both of you entered the same.</p>}
      <div class="save-bar">
        <button class="primary">Save what is chosen</button>
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
      <span class="option-of">{label}</span> <span class="option-value">{shown(value)}</span>
    </label>
  );
  return (
    <fieldset>
      <legend>
        {LABELS[name]} <span class="quiet">was {shown(base)}</span>
      </legend>
      {option("mine", "Yours", mine)}
      {option("theirs", "Theirs", theirs)}
    </fieldset>
  );
}

function shown(value: Value) {
  if (value === null) return <em>not set</em>;
  if (value === "") return <em>empty</em>;
  return typeof value === "boolean" ? (value ? "yes" : "no") : value;
}
