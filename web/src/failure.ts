// A failed call, with its cause and advice for the user.

import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb";

export type Kind =
  | "unauthenticated"
  | "read-only"
  | "invalid"
  | "cycle"
  | "not-found"
  | "has-children"
  | "conflict"
  | "overloaded"
  | "unavailable"
  | "timeout"
  | "unreachable"
  | "cancelled"
  | "internal";

export class Failure extends Error {
  readonly kind: Kind;
  // Field violations, by the API's field name.
  readonly fields: ReadonlyMap<string, string>;
  // The delay before a retry, if the service gives one.
  readonly retryAfterMs: number | undefined;
  // Identifies the call in the service's log.
  readonly requestId: string | undefined;

  constructor(
    kind: Kind,
    message: string,
    details: Partial<Pick<Failure, "fields" | "retryAfterMs" | "requestId">> = {},
  ) {
    super(message);
    this.kind = kind;
    this.fields = details.fields ?? new Map();
    this.retryAfterMs = details.retryAfterMs;
    this.requestId = details.requestId;
  }
}

// Replace messages of the service that identify the group by its id; the page already shows its name.
const MESSAGES: Partial<Record<Kind, string>> = {
  cycle: "A group cannot be moved into itself or into one of its descendants.",
  "has-children": "The group has children.",
  conflict: "Someone else changed the group in the meantime.",
};

export function asFailure(reason: unknown): Failure {
  if (reason instanceof Failure) return reason;
  const error = ConnectError.from(reason);
  if (error.cause instanceof TypeError) {
    return new Failure("unreachable", "The service cannot be reached.");
  }
  const violations = error.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations);
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const kind = kindOf(error);
  return new Failure(kind, MESSAGES[kind] ?? sentence(error.rawMessage), {
    fields: new Map(violations.map(({ field, description }) => [field, sentence(description)])),
    retryAfterMs: delay && Number(delay.seconds) * 1_000 + delay.nanos / 1e6,
    requestId: error.metadata.get("x-request-id") ?? undefined,
  });
}

function kindOf(error: ConnectError): Kind {
  switch (error.code) {
    case Code.Unauthenticated:
      return "unauthenticated";
    case Code.PermissionDenied:
      return "read-only";
    case Code.InvalidArgument:
      return reasonOf(error) === "PARENT_CYCLE" ? "cycle" : "invalid";
    case Code.NotFound:
      return "not-found";
    case Code.FailedPrecondition:
      return reasonOf(error) === "HAS_CHILDREN" ? "has-children" : "internal";
    case Code.Aborted:
      return "conflict";
    case Code.ResourceExhausted:
      return "overloaded";
    case Code.Unavailable:
      return "unavailable";
    case Code.DeadlineExceeded:
      return "timeout";
    case Code.Canceled:
      return "cancelled";
    default:
      return "internal";
  }
}

function reasonOf(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

// Returns what the user can do. Complements the service's own message.
export function advice(failure: Failure): string {
  switch (failure.kind) {
    case "unauthenticated":
      return "Sign in with another key.";
    case "read-only":
      return "Sign out, then sign in with a key that has write access.";
    case "invalid":
      return "Correct the marked fields.";
    case "not-found":
      return "Someone may have deleted it. Refresh to see the current tree.";
    case "cycle":
      return "Choose a parent that is not the group itself or below it.";
    case "has-children":
      return "Delete or move them first.";
    case "conflict":
      return "Check the current version, then try again.";
    case "overloaded":
      return `Nothing was changed. Try again in ${seconds(failure)}.`;
    case "unavailable":
      return `Try again in ${seconds(failure)}. Your changes are kept.`;
    case "timeout":
      return "Refresh to see whether the change was made. If not, try again.";
    case "unreachable":
      return "Check the network. Your changes are kept.";
    case "cancelled":
      return "";
    case "internal":
      return failure.requestId
        ? `Report this request id to the operator of the service: ${failure.requestId}.`
        : "Try again later.";
  }
}

function seconds(failure: Failure): string {
  const count = Math.max(1, Math.ceil((failure.retryAfterMs ?? 0) / 1_000));
  return count === 1 ? "a second" : `${count} seconds`;
}

// Turns a message of the service, which has no capital and no full stop, into a sentence.
function sentence(message: string): string {
  if (message === "") return "The call failed.";
  // Ids and field names keep their case.
  const capitalized = /^[\w-]+_/.test(message) ? message : message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(capitalized) ? capitalized : `${capitalized}.`;
}
