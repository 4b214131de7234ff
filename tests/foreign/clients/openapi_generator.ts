/** A tour with the TypeScript client of OpenAPI Generator. */
import {
  Configuration,
  CustomerGroupListToJSON,
  CustomerGroupToJSON,
  CustomerGroupsApi,
  DeletedCustomerGroupToJSON,
  ErrorResponseFromJSON,
  ResponseError,
} from "./gen/typescript-fetch";
import { service } from "./service";

async function tour() {
  const client = new CustomerGroupsApi(new Configuration({ basePath: service.address, headers: service.headers }));
  const newCustomerGroup = { customerGroupName: "Export", paymentTerms: "Net 30" };
  const created = await client.createCustomerGroup({ newCustomerGroup });
  const { id } = created;
  const got = await client.getCustomerGroup({ id });
  const listed = await client.listCustomerGroups({ parentId: "null" });
  const cleared = await client.updateCustomerGroup({ id, customerGroupChanges: { paymentTerms: null } });
  const deleted = await client.deleteCustomerGroup({ id });
  const missing = await client.getCustomerGroup({ id }).catch((error: ResponseError) => error.response.json());
  return {
    created: CustomerGroupToJSON(created),
    got: CustomerGroupToJSON(got),
    listed: CustomerGroupListToJSON(listed),
    cleared: CustomerGroupToJSON(cleared),
    deleted: DeletedCustomerGroupToJSON(deleted),
    code: ErrorResponseFromJSON(missing).error.code,
  };
}

tour().then((seen) => console.log(JSON.stringify(seen)));
