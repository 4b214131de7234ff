// The editable fields of a group: one list that the form, the drafts and the calls follow.

import type { CustomerGroup } from "./gen/overplane/setup/v1/customer_group_pb";

type Text = { message: keyof CustomerGroup; label: string; hint?: string };

// The optional texts by the API's names, in the order of the form, each with its name in messages.
const TEXTS = {
  default_price_list: { message: "defaultPriceList", label: "Default price list" },
  payment_terms: { message: "paymentTerms", label: "Payment terms" },
  parent_customer_group: {
    message: "parentCustomerGroup",
    label: "Parent in another system",
    hint: "A reference to another system, stored as entered. It does not move the group.",
  },
} as const satisfies Record<string, Text>;

type TextName = keyof typeof TEXTS;
export const TEXT_NAMES = Object.keys(TEXTS) as TextName[];

// The fields of the edit form, with the API's names for update masks and field violations.
export type Values = { customer_group_name: string; is_group: boolean } & Record<TextName, string | null>;
export type ValueName = keyof Values;
export const FIELD_NAMES: ValueName[] = ["customer_group_name", "is_group", ...TEXT_NAMES];

export function labelOf(name: ValueName): string {
  if (name === "customer_group_name") return "Name";
  return name === "is_group" ? "Holds other groups" : TEXTS[name].label;
}

export function hintOf(name: ValueName): string | undefined {
  const text: Text | undefined = name in TEXTS ? TEXTS[name as TextName] : undefined;
  return text?.hint;
}

function texts(
  value: (text: (typeof TEXTS)[TextName], name: TextName) => string | null,
): Record<TextName, string | null> {
  return Object.fromEntries(TEXT_NAMES.map((name) => [name, value(TEXTS[name], name)])) as Record<
    TextName,
    string | null
  >;
}

export const EMPTY: Values = { customer_group_name: "", is_group: false, ...texts(() => null) };

export function valuesOf(group: CustomerGroup): Values {
  const { customerGroupName, isGroup } = group;
  return { customer_group_name: customerGroupName, is_group: isGroup, ...texts((text) => group[text.message] ?? null) };
}

// Returns the fields as a message takes them, without the texts that are not set.
export function messageOf(values: Values) {
  const set = TEXT_NAMES.filter((name) => values[name] !== null).map((name) => [TEXTS[name].message, values[name]]);
  return { customerGroupName: values.customer_group_name, isGroup: values.is_group, ...Object.fromEntries(set) };
}
