// Why a call failed, and what one can do about it.

import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb";

export type Kind =
  | "signed-out"
  | "read-only"
  | "invalid"
  | "cycle"
  | "missing"
  | "has-children"
  | "conflict"
  | "busy"
  | "away"
  | "timeout"
  | "unreachable"
  | "cancelled"
  | "fault";

export class Failure extends Error {
  readonly kind: Kind;
  // What is wrong with each field, by its name in the API.
  readonly fields: ReadonlyMap<string, string>;
  // After how long the same call is worth another try, where the service says so.
  readonly retryAfterMs: number | undefined;
  // By which the call is found in the service's log.
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

// Where the service names a group by its id, the page shows its name beside.
const OWN_WORDS: Partial<Record<Kind, string>> = {
  cycle: "A group cannot be moved into itself or into one below it.",
  "has-children": "It has others below it.",
  conflict: "Someone changed it meanwhile.",
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
  return new Failure(kind, OWN_WORDS[kind] ?? sentence(error.rawMessage), {
    fields: new Map(violations.map(({ field, description }) => [field, sentence(description)])),
    retryAfterMs: delay && Number(delay.seconds) * 1_000 + delay.nanos / 1e6,
    requestId: error.metadata.get("x-request-id") ?? undefined,
  });
}

function kindOf(error: ConnectError): Kind {
  switch (error.code) {
    case Code.Unauthenticated:
      return "signed-out";
    case Code.PermissionDenied:
      return "read-only";
    case Code.InvalidArgument:
      return reasonOf(error) === "PARENT_CYCLE" ? "cycle" : "invalid";
    case Code.NotFound:
      return "missing";
    case Code.FailedPrecondition:
      return reasonOf(error) === "HAS_CHILDREN" ? "has-children" : "fault";
    case Code.Aborted:
      return "conflict";
    case Code.ResourceExhausted:
      return "busy";
    case Code.Unavailable:
      return "away";
    case Code.DeadlineExceeded:
      return "timeout";
    case Code.Canceled:
      return "cancelled";
    default:
      return "fault";
  }
}

function reasonOf(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

// What to do about it, beside what the service's own message says.
export function advice(failure: Failure): string {
  switch (failure.kind) {
    case "signed-out":
      return "Sign in with another key.";
    case "read-only":
      return "Sign out, and in again with a key that may write.";
    case "invalid":
      return "Correct what is marked.";
    case "missing":
      return "Someone may have deleted it. Refresh to see what there is now.";
    case "cycle":
      return "Choose a parent outside of it.";
    case "has-children":
      return "Delete or move those first.";
    case "conflict":
      return "Look at it as it is now, and try again.";
    case "busy":
      return `Nothing was changed. Try again in ${seconds(failure)}.`;
    case "away":
      return `Try again in ${seconds(failure)}; what you entered stays here.`;
    case "timeout":
      return "Refresh to see whether the change was made, and try again if it was not.";
    case "unreachable":
      return "Check the network; what you entered stays here.";
    case "cancelled":
      return "";
    case "fault":
      return failure.requestId
        ? `Tell whoever runs the service this number: ${failure.requestId}.`
        : "Try again later.";
  }
}

function seconds(failure: Failure): string {
  const count = Math.max(1, Math.ceil((failure.retryAfterMs ?? 0) / 1_000));
  return count === 1 ? "a second" : `${count} seconds`;
}

// The messages of the service begin in lower case and have no full stop.
function sentence(message: string): string {
  if (message === "") return "The call failed.";
  // An id or the name of a field stays as it is.
  const whole = /^[\w-]+_/.test(message) ? message : message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
