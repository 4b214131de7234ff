// The form fields of a group, each with its field violation.

import type { Failure } from "./failure";
import { hintOf, labelOf, TEXT_NAMES, type ValueName, type Values } from "./values";

type TextName = Exclude<ValueName, "is_group">;

type Props = {
  id: string;
  values: Values;
  saved: Values | null;
  failure: Failure | null;
  isReadOnly: boolean;
  onEdit: <N extends ValueName>(name: N, value: Values[N]) => void;
};

export function Fields(props: Props) {
  return (
    <>
      <TextField {...props} name="customer_group_name" />
      <CheckField {...props} />
      {TEXT_NAMES.map((name) => (
        <TextField key={name} {...props} name={name} />
      ))}
    </>
  );
}

function TextField({ id, values, saved, failure, isReadOnly, onEdit, name }: Props & { name: TextName }) {
  const violation = failure?.fields.get(name);
  const hint = hintOf(name);
  const describedBy = [violation && `${id}-${name}-wrong`, hint && `${id}-${name}-hint`].filter(Boolean).join(" ");
  const isRequired = name === "customer_group_name";
  const onInput = (event: { currentTarget: HTMLInputElement }) => {
    const text = event.currentTarget.value;
    // Clearing a field unsets it, unless its saved value is the empty string.
    const isUnset = text === "" && !isRequired && saved?.[name] !== "";
    onEdit(name, (isUnset ? null : text) as Values[typeof name]);
  };
  return (
    <div class={saved && saved[name] !== values[name] ? "field is-changed" : "field"}>
      <label for={`${id}-${name}`}>
        {labelOf(name)}
        {isRequired && !isReadOnly && <span class="quiet"> (required)</span>}
      </label>
      <input
        id={`${id}-${name}`}
        name={name}
        type="text"
        autocomplete="off"
        value={values[name] ?? ""}
        placeholder={isRequired ? "" : values[name] === null ? "Not set" : "Empty"}
        readOnly={isReadOnly}
        aria-required={isRequired}
        aria-invalid={violation !== undefined}
        aria-describedby={describedBy || undefined}
        onInput={onInput}
      />
      {hint && (
        <p id={`${id}-${name}-hint`} class="hint">
          {hint}
        </p>
      )}
      {violation && (
        <p id={`${id}-${name}-wrong`} class="wrong">
          {withLabel(violation, name)}
        </p>
      )}
    </div>
  );
}

// Replaces the API's field name in a violation by the label.
function withLabel(violation: string, name: ValueName): string {
  return violation.toLowerCase().startsWith(name) ? labelOf(name) + violation.slice(name.length) : violation;
}

function CheckField({ id, values, saved, isReadOnly, onEdit }: Props) {
  return (
    <div class={saved && saved.is_group !== values.is_group ? "field is-check is-changed" : "field is-check"}>
      <input
        id={`${id}-is_group`}
        type="checkbox"
        checked={values.is_group}
        disabled={isReadOnly}
        onChange={(event) => onEdit("is_group", event.currentTarget.checked)}
      />
      <label for={`${id}-is_group`}>{labelOf("is_group")}</label>
    </div>
  );
}
