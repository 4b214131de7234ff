// Calls the service from a web page: gRPC-Web through connect-web with generated types, and REST through fetch.

import { toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { BadRequestSchema, ErrorInfoSchema } from "./gen/google/rpc/error_details_pb";
import {
  type CustomerGroup,
  CustomerGroupSchema,
  CustomerGroupService,
} from "./gen/overplane/setup/v1/customer_group_pb";

const NOBODY = "customer-group_abc123";

function connect(baseUrl: string, key: string) {
  const authorize: Interceptor = (next) => (request) => {
    request.header.set("Authorization", `Bearer ${key}`);
    return next(request);
  };
  // The timeout adds a header that the CORS preflight must allow.
  const transport = createGrpcWebTransport({ baseUrl, interceptors: [authorize], defaultTimeoutMs: 30_000 });
  return createClient(CustomerGroupService, transport);
}

const shown = (group: CustomerGroup) => toJson(CustomerGroupSchema, group);

// Returns what a page can read of a failed call.
async function refusal(call: Promise<unknown>) {
  try {
    await call;
  } catch (reason) {
    const error = ConnectError.from(reason);
    return {
      code: Code[error.code],
      message: error.rawMessage,
      reasons: error.findDetails(ErrorInfoSchema).map((info) => info.reason),
      fields: error.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations.map(({ field }) => field)),
      requestId: error.metadata.get("x-request-id"),
    };
  }
  throw new Error("the call was not refused");
}

async function tour(address: string, key: string) {
  const client = connect(address, key);
  const root = await client.createCustomerGroup({
    customerGroup: { customerGroupName: "All customers", isGroup: true },
  });
  const created = await client.createCustomerGroup({
    customerGroup: { customerGroupName: "Wholesale ✓", paymentTerms: "Net 30" },
  });
  const { id } = created;
  const got = await client.getCustomerGroup({ id });
  const page = await client.listCustomerGroups({ limit: 1 });
  const updated = await client.updateCustomerGroup({
    customerGroup: { id, defaultPriceList: "Export" },
    updateMask: { paths: ["default_price_list", "payment_terms"] },
  });
  const moved = await client.updateCustomerGroup({ customerGroup: { id, parentId: root.id } });
  const children = await client.listCustomerGroupChildren({ id: root.id });
  const streamed: CustomerGroup[] = [];
  for await (const group of client.streamCustomerGroupDescendants({ id: root.id })) {
    streamed.push(group);
  }
  const refused = {
    missing: await refusal(client.getCustomerGroup({ id: NOBODY })),
    invalid: await refusal(client.createCustomerGroup({ customerGroup: { parentId: "nobody", paymentTerms: "\0" } })),
    cycle: await refusal(client.updateCustomerGroup({ customerGroup: { id: root.id, parentId: id } })),
    parent: await refusal(client.deleteCustomerGroup({ id: root.id })),
    stale: await refusal(client.deleteCustomerGroup({ id, etag: created.etag })),
    unauthorized: await refusal(connect(address, "sk_test_that_nobody_ever_made").getCustomerGroup({ id })),
  };
  const deleted = await client.deleteCustomerGroup({ id });
  return {
    root: shown(root),
    created: shown(created),
    got: shown(got),
    page: { data: page.data.map(shown), hasMore: page.hasMore, total: page.total },
    updated: shown(updated),
    moved: shown(moved),
    children: children.data.map(shown),
    streamed: streamed.map(shown),
    refused,
    deleted: { id: deleted.id, deleted: deleted.deleted },
    gone: await refusal(client.getCustomerGroup({ id })),
  };
}

async function rest(address: string, key: string) {
  const send = async (method: string, path: string, body?: unknown, headers?: Record<string, string>) => {
    const response = await fetch(`${address}/api/setup/customer-group${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const readable = ["ETag", "Location", "X-Request-Id"].filter((name) => response.headers.has(name));
    return { status: response.status, body: await response.json(), readable };
  };
  const created = await send("POST", "", { customer_group_name: "Retail" });
  const path = `/${created.body.id}`;
  return {
    created,
    got: await send("GET", path),
    stale: await send("PATCH", path, { payment_terms: "Net 30" }, { "If-Match": '"1"' }),
    deleted: await send("DELETE", path),
    gone: await send("GET", path),
  };
}

// Returns what a page can read of calls that CORS blocks.
async function blocked(address: string, key: string) {
  const failure = (reason: Error) => reason.name;
  return {
    grpcWeb: await refusal(connect(address, key).createCustomerGroup({ customerGroup: { customerGroupName: "x" } })),
    rest: await rest(address, key).catch(failure),
    // A simple request has no preflight, but the browser hides the response from the page.
    simple: await fetch(`${address}/livez`).then((response) => response.status, failure),
  };
}

Object.assign(window, { tour, rest, blocked });
