// The session. The API key is stored for this tab only, and never in a URL.

import { signal } from "@preact/signals";
import { Api } from "./api";
import { asFailure, type Failure } from "./failure";

export type Session = { api: Api; canWrite: boolean };

export type SessionState =
  { kind: "out"; reason: Failure | null } | { kind: "checking" } | { kind: "in"; session: Session };

const STORAGE_KEY = "api-key";

export const session = signal<SessionState>({ kind: "out", reason: null });

// Whether the last call reached the service.
export const isReachable = signal(true);

export async function signIn(key: string): Promise<void> {
  session.value = { kind: "checking" };
  const api: Api = new Api(key, (failure) => onCallEnd(api, failure));
  try {
    const canWrite = await api.canWrite();
    sessionStorage.setItem(STORAGE_KEY, key);
    isReachable.value = true;
    session.value = { kind: "in", session: { api, canWrite } };
  } catch (error) {
    const reason = asFailure(error);
    if (reason.kind === "unauthenticated") signOut(reason);
    else session.value = { kind: "out", reason };
  }
}

// Signs in with the key that is stored for this tab, if any.
export async function resume(): Promise<void> {
  const key = sessionStorage.getItem(STORAGE_KEY);
  if (key !== null) await signIn(key);
}

export function hasStoredKey(): boolean {
  return sessionStorage.getItem(STORAGE_KEY) !== null;
}

export function signOut(reason: Failure | null = null): void {
  sessionStorage.removeItem(STORAGE_KEY);
  session.value = { kind: "out", reason };
}

function onCallEnd(api: Api, failure: Failure | null): void {
  isReachable.value = failure?.kind !== "unreachable";
  const state = session.value;
  // Ignore late responses to calls with an earlier key.
  const isCurrent = state.kind === "in" && state.session.api === api;
  if (failure?.kind === "unauthenticated" && isCurrent) signOut(failure);
}
