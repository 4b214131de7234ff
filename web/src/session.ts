// Who is signed in. The key is kept for this tab alone, and never in an address.

import { signal } from "@preact/signals";
import { Api } from "./api";
import { asFailure, type Failure } from "./failure";

export type Session = { api: Api; mayWrite: boolean };

export type SessionState = { is: "out"; reason: Failure | null } | { is: "checking" } | { is: "in"; session: Session };

const STORED = "api-key";

export const session = signal<SessionState>({ is: "out", reason: null });

// Whether the last call found the service.
export const isReachable = signal(true);

export async function signIn(key: string): Promise<void> {
  session.value = { is: "checking" };
  const api: Api = new Api(key, (failure) => noteEnd(api, failure));
  try {
    const mayWrite = await api.mayWrite();
    sessionStorage.setItem(STORED, key);
    isReachable.value = true;
    session.value = { is: "in", session: { api, mayWrite } };
  } catch (error) {
    const reason = asFailure(error);
    if (reason.kind === "signed-out") signOut(reason);
    else session.value = { is: "out", reason };
  }
}

// Goes on with the key that the tab has, if it has one.
export async function resume(): Promise<void> {
  const key = sessionStorage.getItem(STORED);
  if (key !== null) await signIn(key);
}

export function hasStoredKey(): boolean {
  return sessionStorage.getItem(STORED) !== null;
}

export function signOut(reason: Failure | null = null): void {
  sessionStorage.removeItem(STORED);
  session.value = { is: "out", reason };
}

function noteEnd(api: Api, failure: Failure | null): void {
  isReachable.value = failure?.kind !== "unreachable";
  const state = session.value;
  // A late answer to an earlier key says nothing of this one.
  const isCurrent = state.is === "in" && state.session.api === api;
  if (failure?.kind === "signed-out" && isCurrent) signOut(failure);
}
