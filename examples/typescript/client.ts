// A tour of the API with connect-node: `npm ci && npm run generate && API_KEY=sk_test_… npm start`.

import { setTimeout } from "node:timers/promises";
import { Code, ConnectError, createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { BadRequestSchema, ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { type CustomerGroup, CustomerGroupService } from "./gen/overplane/setup/v1/customer_group_pb.js";

type Groups = Client<typeof CustomerGroupService>;

function authorize(key: string): Interceptor {
  return (next) => (request) => {
    request.header.set("Authorization", `Bearer ${key}`);
    return next(request);
  };
}

// Retries calls while the service is unavailable. Only reads, and creates with an idempotency key.
const retry: Interceptor = (next) => async (request) => {
  const isRetryable = /^(Get|List)/.test(request.method.name) || request.header.has("Idempotency-Key");
  for (let attempt = 1; ; attempt++) {
    try {
      return await next(request);
    } catch (error) {
      if (!isRetryable || attempt === 3 || ConnectError.from(error).code !== Code.Unavailable) throw error;
      await setTimeout(100 * 4 ** (attempt - 1));
    }
  }
};

const names = (groups: CustomerGroup[]) => groups.map((group) => group.customerGroupName).join(", ");

// Creates a tree in one atomic call. An entry names its parent by the reference of another entry.
async function createTree(groups: Groups) {
  const entry = (name: string, parentReference?: string) => {
    return { customerGroup: { customerGroupName: name }, reference: name, parentReference };
  };
  const children = ["Wholesale", "Retail", "Online"].map((name) => entry(name, "All customers"));
  const requests = [entry("All customers"), ...children, entry("Export", "Wholesale")];
  const created = (await groups.batchCreateCustomerGroups({ requests })).data;
  console.log(`created: ${names(created)}`);
  return created;
}

async function showLists(groups: Groups, parent: CustomerGroup) {
  const roots = await groups.listCustomerGroups({ parentId: "null" });
  console.log(`roots: ${roots.data.length} of ${roots.total}: ${names(roots.data)}`);
  const found = await groups.listCustomerGroups({ customerGroupName: "SALE" });
  console.log(`name contains SALE: ${found.data.length} of ${found.total}: ${names(found.data)}`);
  for (let startingAfter: string | undefined, hasMore = true; hasMore; ) {
    const page = await groups.listCustomerGroupChildren({ id: parent.id, limit: 2, startingAfter });
    console.log(`page of children: ${names(page.data)}`);
    hasMore = page.hasMore;
    startingAfter = page.data.at(-1)?.id;
  }
}

// Updates the version that was read. If the group has changed since, reads it again and retries.
async function setTerms(groups: Groups, { id, etag }: CustomerGroup, paymentTerms: string) {
  for (let attempt = 1; ; attempt++) {
    try {
      const change = { customerGroup: { id, paymentTerms }, updateMask: { paths: ["payment_terms"] }, etag };
      const updated = await groups.updateCustomerGroup(change);
      console.log(`updated: ${updated.customerGroupName} has ${updated.paymentTerms}`);
      return;
    } catch (error) {
      const reasons = ConnectError.from(error).findDetails(ErrorInfoSchema).map(({ reason }) => reason);
      if (attempt === 3 || !reasons.includes("ETAG_MISMATCH")) throw error;
      console.log("rejected: ETAG_MISMATCH; reading again");
      ({ etag } = await groups.getCustomerGroup({ id }));
    }
  }
}

// Creates a group. A repeated call with the same idempotency key creates no second one.
async function create(groups: Groups, key: string, customerGroup: { customerGroupName?: string; parentId: string }) {
  try {
    let replayed = false;
    const onHeader = (header: Headers) => {
      replayed = header.has("Idempotent-Replayed");
    };
    const headers = { "Idempotency-Key": key };
    const created = await groups.createCustomerGroup({ customerGroup }, { headers, onHeader });
    console.log(`created: ${created.customerGroupName}${replayed ? " (replayed)" : ""}`);
  } catch (error) {
    const rejection = ConnectError.from(error);
    if (rejection.code !== Code.InvalidArgument) throw error;
    for (const { field, description } of rejection.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations)) {
      console.log(`rejected: ${field}: ${description}`);
    }
  }
}

// Deletes a tree bottom-up. The stream lists parents before children, so the reverse order is safe.
async function deleteTree(groups: Groups, root: CustomerGroup) {
  const tree = [root];
  for await (const group of groups.streamCustomerGroupDescendants({ id: root.id })) {
    console.log(`streamed: ${group.customerGroupName}`);
    tree.push(group);
  }
  for (const { id } of tree.reverse()) await groups.deleteCustomerGroup({ id });
  console.log(`deleted: ${tree.length} groups`);
}

async function tour(baseUrl: string, key: string) {
  const sessionManager = new Http2SessionManager(baseUrl);
  const interceptors = [authorize(key), retry];
  const groups = createClient(
    CustomerGroupService,
    createGrpcTransport({ baseUrl, sessionManager, interceptors, defaultTimeoutMs: 10_000 }),
  );
  try {
    const [root, wholesale] = await createTree(groups);
    await showLists(groups, root);
    await setTerms(groups, wholesale, "Net 30");
    // `wholesale` is stale now, so this update is rejected and retried.
    await setTerms(groups, wholesale, "Net 60");
    await create(groups, `nameless of ${root.id}`, { parentId: "nobody" });
    for (let time = 0; time < 2; time++) {
      await create(groups, `outlet of ${root.id}`, { customerGroupName: "Outlet", parentId: root.id });
    }
    await deleteTree(groups, root);
  } finally {
    sessionManager.abort();
  }
}

try {
  const key = process.env.API_KEY;
  if (!key) throw new Error("API_KEY is not set; set it to a key with write access");
  await tour(process.env.ADDRESS ?? "http://127.0.0.1:8080", key);
} catch (error) {
  console.error(`the tour failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
