/** A tour with openapi-fetch and the types of openapi-typescript. */
import createClient from "openapi-fetch";

import type { paths } from "./gen/openapi-typescript";
import { service } from "./service";

const COLLECTION = "/api/setup/customer-group";
const GROUP = "/api/setup/customer-group/{id}";

async function tour() {
  const client = createClient<paths>({ baseUrl: service.address, headers: service.headers });
  const body = { customer_group_name: "Export", payment_terms: "Net 30" };
  const created = (await client.POST(COLLECTION, { body })).data!;
  const params = { path: { id: created.id } };
  const got = (await client.GET(GROUP, { params })).data!;
  const listed = (await client.GET(COLLECTION, { params: { query: { parent_id: "null" } } })).data!;
  const cleared = (await client.PATCH(GROUP, { params, body: { payment_terms: null } })).data!;
  const deleted = (await client.DELETE(GROUP, { params })).data!;
  const { error } = await client.GET(GROUP, { params });
  return { created, got, listed, cleared, deleted, code: error!.error.code };
}

tour().then((seen) => console.log(JSON.stringify(seen)));
