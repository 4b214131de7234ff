// The fields of a group that can be entered, each with what the service says is wrong with it.

import type { ValueName, Values } from "./api";
import type { Failure } from "./failure";

export const LABELS: Record<ValueName, string> = {
  customer_group_name: "Name",
  is_group: "Holds other groups",
  parent_customer_group: "Parent in another system",
  default_price_list: "Default price list",
  payment_terms: "Payment terms",
};

const HINTS: Partial<Record<ValueName, string>> = {
  parent_customer_group: "A reference kept as it is; it does not move the group.",
};

type TextName = Exclude<ValueName, "is_group">;

type Props = {
  id: string;
  values: Values;
  saved: Values | null;
  failure: Failure | null;
  isReadOnly: boolean;
  onEnter: <N extends ValueName>(name: N, value: Values[N]) => void;
};

export function Fields(props: Props) {
  const texts: TextName[] = ["default_price_list", "payment_terms", "parent_customer_group"];
  return (
    <>
      <TextField {...props} name="customer_group_name" />
      <CheckField {...props} />
      {texts.map((name) => (
        <TextField key={name} {...props} name={name} />
      ))}
    </>
  );
}

function TextField({ id, values, saved, failure, isReadOnly, onEnter, name }: Props & { name: TextName }) {
  const wrong = failure?.fields.get(name);
  const hint = HINTS[name];
  const described = [wrong && `${id}-${name}-wrong`, hint && `${id}-${name}-hint`].filter(Boolean).join(" ");
  const isRequired = name === "customer_group_name";
  const enter = (event: { currentTarget: HTMLInputElement }) => {
    const text = event.currentTarget.value;
    // A text that was empty before stays one; any other that is emptied is unset.
    const isUnset = text === "" && !isRequired && saved?.[name] !== "";
    onEnter(name, (isUnset ? null : text) as Values[typeof name]);
  };
  return (
    <div class={saved && saved[name] !== values[name] ? "field is-changed" : "field"}>
      <label for={`${id}-${name}`}>
        {LABELS[name]}
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
        aria-invalid={wrong !== undefined}
        aria-describedby={described || undefined}
        onInput={enter}
      />
      {hint && (
        <p id={`${id}-${name}-hint`} class="hint">
          {hint}
        </p>
      )}
      {wrong && (
        <p id={`${id}-${name}-wrong`} class="wrong">
          {withLabel(wrong, name)}
        </p>
      )}
    </div>
  );
}

// What is wrong, with the field as it is called here.
function withLabel(wrong: string, name: ValueName): string {
  return wrong.toLowerCase().startsWith(name) ? LABELS[name] + wrong.slice(name.length) : wrong;
}

function CheckField({ id, values, saved, isReadOnly, onEnter }: Props) {
  return (
    <div class={saved && saved.is_group !== values.is_group ? "field is-check is-changed" : "field is-check"}>
      <input
        id={`${id}-is_group`}
        type="checkbox"
        checked={values.is_group}
        disabled={isReadOnly}
        onChange={(event) => onEnter("is_group", event.currentTarget.checked)}
      />
      <label for={`${id}-is_group`}>{LABELS.is_group}</label>
    </div>
  );
}
