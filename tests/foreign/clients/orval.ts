/** A tour with the client of orval. */
import {
  createCustomerGroup,
  deleteCustomerGroup,
  getCustomerGroup,
  listCustomerGroups,
  updateCustomerGroup,
} from "./gen/orval";

/** Returns the data of a response with this status. */
function of<R extends { status: number }, S extends R["status"]>(response: R, status: S): Extract<R, { status: S }> {
  if (response.status !== status) throw new Error(`status ${response.status}`);
  return response as Extract<R, { status: S }>;
}

async function tour() {
  const created = of(await createCustomerGroup({ customer_group_name: "Export", payment_terms: "Net 30" }), 201).data;
  const got = of(await getCustomerGroup(created.id), 200).data;
  const listed = of(await listCustomerGroups({ parent_id: "null" }), 200).data;
  const cleared = of(await updateCustomerGroup(created.id, { payment_terms: null }), 200).data;
  const deleted = of(await deleteCustomerGroup(created.id), 200).data;
  const missing = of(await getCustomerGroup(created.id), 404).data;
  return { created, got, listed, cleared, deleted, code: missing.error.code };
}

tour().then((seen) => console.log(JSON.stringify(seen)));
