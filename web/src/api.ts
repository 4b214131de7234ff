// Client for the RPCs that the explorer uses. It sends the session's API key with every call.

import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { asFailure, type Failure } from "./failure";
import { type CustomerGroup, CustomerGroupService } from "./gen/overplane/setup/v1/customer_group_pb";
import { messageOf, type ValueName, type Values } from "./values";

export type { CustomerGroup };

// The parent of a group: an id, or `null` for a root.
export type ParentId = string | null;

export type Page = { groups: CustomerGroup[]; hasMore: boolean; total: number };

export type Window = { limit: number; after?: string; offset?: number };

// A read is retried this often, if the service asks for a delay of at most MAX_WAIT_MS.
const MAX_RETRIES = 2;
const MAX_WAIT_MS = 3_000;

const TIMEOUT_MS = 30_000;

export class Api {
  #client: Client<typeof CustomerGroupService>;
  #onEnd: (failure: Failure | null) => void;

  // `onEnd` runs after every call that was not cancelled, with the failure or null.
  constructor(key: string, onEnd: (failure: Failure | null) => void) {
    const authorize: Interceptor = (next) => (request) => {
      request.header.set("authorization", `Bearer ${key}`);
      // A standby may lag, and its list could miss a write that was just made here.
      request.header.set("cache-control", "no-cache");
      return next(request);
    };
    const transport = createGrpcWebTransport({
      baseUrl: location.origin,
      interceptors: [authorize],
      defaultTimeoutMs: TIMEOUT_MS,
    });
    this.#client = createClient(CustomerGroupService, transport);
    this.#onEnd = onEnd;
  }

  // Returns whether the key has write access. The update names a group that does not exist, so it changes nothing; the
  // service rejects a read-only key before it looks for the group.
  async canWrite(): Promise<boolean> {
    try {
      await this.#client.updateCustomerGroup({ customerGroup: { id: "customer-group_none" } });
      return true;
    } catch (error) {
      const failure = asFailure(error);
      if (failure.kind === "not-found") return true;
      if (failure.kind === "read-only") return false;
      throw failure;
    }
  }

  get(id: string): Promise<CustomerGroup> {
    return this.#read(() => this.#client.getCustomerGroup({ id }));
  }

  async getAll(ids: string[], signal: AbortSignal): Promise<CustomerGroup[]> {
    return (await this.#read(() => this.#client.batchGetCustomerGroups({ ids }, { signal }), signal)).data;
  }

  // Returns the ancestors, parent first and root last.
  async ancestors(id: string): Promise<CustomerGroup[]> {
    return (await this.#read(() => this.#client.listCustomerGroupAncestors({ id }))).data;
  }

  // Returns a page of the children of a node, newest first.
  async children(parent: ParentId, { limit, after, offset }: Window): Promise<Page> {
    const request = { parentId: parent ?? "null", limit, ...cursor(after, offset) };
    const page = await this.#read(() => this.#client.listCustomerGroups(request));
    return { groups: page.data, hasMore: page.hasMore, total: page.total };
  }

  // Returns a page of the groups whose name contains the text, newest first.
  async search(text: string, { limit, after }: Window, signal: AbortSignal): Promise<Page> {
    const request = { customerGroupName: text, limit, ...cursor(after, undefined) };
    const page = await this.#read(() => this.#client.listCustomerGroups(request, { signal }), signal);
    return { groups: page.data, hasMore: page.hasMore, total: page.total };
  }

  // Creates a group. A repeated call with the same idempotency key creates no second one.
  create(parent: ParentId, values: Values, idempotencyKey: string): Promise<CustomerGroup> {
    const customerGroup = { ...messageOf(values), ...(parent === null ? {} : { parentId: parent }) };
    const headers = { "idempotency-key": idempotencyKey };
    return this.#call(() => this.#client.createCustomerGroup({ customerGroup }, { headers }));
  }

  // Updates the named fields if the group still has this etag.
  update(id: string, etag: string, values: Values, names: ValueName[]): Promise<CustomerGroup> {
    const request = { customerGroup: { id, ...messageOf(values) }, updateMask: { paths: names }, etag };
    return this.#call(() => this.#client.updateCustomerGroup(request));
  }

  move(id: string, etag: string, parent: ParentId): Promise<CustomerGroup> {
    const customerGroup = { id, ...(parent === null ? {} : { parentId: parent }) };
    const request = { customerGroup, updateMask: { paths: ["parent_id"] }, etag };
    return this.#call(() => this.#client.updateCustomerGroup(request));
  }

  async delete(id: string, etag: string): Promise<void> {
    await this.#call(() => this.#client.deleteCustomerGroup({ id, etag }));
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    try {
      const response = await call();
      this.#onEnd(null);
      return response;
    } catch (error) {
      const failure = asFailure(error);
      if (failure.kind !== "cancelled") this.#onEnd(failure);
      throw failure;
    }
  }

  // Retries a read when the service asks for a short delay. Reads have no side effects, so this is safe.
  #read<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#call(async () => {
      for (let attempt = 0; ; attempt += 1) {
        try {
          return await call();
        } catch (error) {
          const wait = asFailure(error).retryAfterMs;
          if (wait === undefined || wait > MAX_WAIT_MS || attempt === MAX_RETRIES || signal?.aborted) throw error;
          await new Promise((resolve) => setTimeout(resolve, wait));
        }
      }
    });
  }
}

function cursor(after: string | undefined, offset: number | undefined) {
  return { ...(after === undefined ? {} : { startingAfter: after }), ...(offset ? { offset } : {}) };
}

export function parentOf(group: CustomerGroup): ParentId {
  return group.parentId ?? null;
}
