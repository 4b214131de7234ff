// The calls of the service that the explorer makes, each with the key of the session.

import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { asFailure, type Failure } from "./failure";
import { type CustomerGroup, CustomerGroupService } from "./gen/overplane/setup/v1/customer_group_pb";

export type { CustomerGroup };

// What is below a node; what has no parent is below `null`.
export type ParentId = string | null;

// The fields that a form changes, as the API names them in masks and violations.
export type Values = {
  customer_group_name: string;
  is_group: boolean;
  parent_customer_group: string | null;
  default_price_list: string | null;
  payment_terms: string | null;
};
export type ValueName = keyof Values;

export type Page = { groups: CustomerGroup[]; hasMore: boolean; total: number };

export type Window = { limit: number; after?: string; offset?: number };

// How often a read that is refused for the moment is tried again, and the longest wait before that.
const RETRIES = 2;
const LONGEST_WAIT_MS = 3_000;

const TIMEOUT_MS = 30_000;

export class Api {
  #client: Client<typeof CustomerGroupService>;
  #onEnd: (failure: Failure | null) => void;

  // `onEnd` is told of the end of every call but those that were given up.
  constructor(key: string, onEnd: (failure: Failure | null) => void) {
    const authorize: Interceptor = (next) => (request) => {
      request.header.set("authorization", `Bearer ${key}`);
      // A list from a standby could lack what was just written here.
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

  // Whether the key may write. An update of no group changes nothing, and a key that may only read is refused before
  // the group is looked for.
  async mayWrite(): Promise<boolean> {
    try {
      await this.#client.updateCustomerGroup({ customerGroup: { id: "customer-group_none" } });
      return true;
    } catch (error) {
      const failure = asFailure(error);
      if (failure.kind === "missing") return true;
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

  // The parent first, the root last.
  async ancestors(id: string): Promise<CustomerGroup[]> {
    return (await this.#read(() => this.#client.listCustomerGroupAncestors({ id }))).data;
  }

  // Those below a node, newest first.
  async children(parent: ParentId, { limit, after, offset }: Window): Promise<Page> {
    const request = { parentId: parent ?? "null", limit, ...cursor(after, offset) };
    const page = await this.#read(() => this.#client.listCustomerGroups(request));
    return { groups: page.data, hasMore: page.hasMore, total: page.total };
  }

  // Those whose name has the text in it, newest first.
  async search(text: string, { limit, after }: Window, signal: AbortSignal): Promise<Page> {
    const request = { customerGroupName: text, limit, ...cursor(after, undefined) };
    const page = await this.#read(() => this.#client.listCustomerGroups(request, { signal }), signal);
    return { groups: page.data, hasMore: page.hasMore, total: page.total };
  }

  // However often it is called with one idempotency key, one group is made.
  create(parent: ParentId, values: Values, idempotencyKey: string): Promise<CustomerGroup> {
    const customerGroup = { ...fields(values), ...(parent === null ? {} : { parentId: parent }) };
    const headers = { "idempotency-key": idempotencyKey };
    return this.#call(() => this.#client.createCustomerGroup({ customerGroup }, { headers }));
  }

  // Changes the named fields of the version that the etag is of.
  update(id: string, etag: string, values: Values, names: ValueName[]): Promise<CustomerGroup> {
    const request = { customerGroup: { id, ...fields(values) }, updateMask: { paths: names }, etag };
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

  async #call<T>(make: () => Promise<T>): Promise<T> {
    try {
      const answer = await make();
      this.#onEnd(null);
      return answer;
    } catch (error) {
      const failure = asFailure(error);
      if (failure.kind !== "cancelled") this.#onEnd(failure);
      throw failure;
    }
  }

  // A read changes nothing, so that it may be tried again where the service says when.
  #read<T>(make: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#call(async () => {
      for (let tries = 0; ; tries += 1) {
        try {
          return await make();
        } catch (error) {
          const wait = asFailure(error).retryAfterMs;
          if (wait === undefined || wait > LONGEST_WAIT_MS || tries === RETRIES || signal?.aborted) throw error;
          await new Promise((resolve) => setTimeout(resolve, wait));
        }
      }
    });
  }
}

function cursor(after: string | undefined, offset: number | undefined) {
  return { ...(after === undefined ? {} : { startingAfter: after }), ...(offset ? { offset } : {}) };
}

function fields(values: Values) {
  const optional = {
    parentCustomerGroup: values.parent_customer_group,
    defaultPriceList: values.default_price_list,
    paymentTerms: values.payment_terms,
  };
  const set = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== null));
  return { customerGroupName: values.customer_group_name, isGroup: values.is_group, ...set };
}

export function valuesOf(group: CustomerGroup): Values {
  return {
    customer_group_name: group.customerGroupName,
    is_group: group.isGroup,
    parent_customer_group: group.parentCustomerGroup ?? null,
    default_price_list: group.defaultPriceList ?? null,
    payment_terms: group.paymentTerms ?? null,
  };
}

export function parentOf(group: CustomerGroup): ParentId {
  return group.parentId ?? null;
}
