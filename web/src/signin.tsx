// Sign-in form for an API key.

import { useEffect, useRef } from "preact/hooks";
import { advice, type Failure } from "./failure";
import { Icon } from "./icons";
import { resume, signIn } from "./session";

type Props = { isChecking: boolean; reason: Failure | null; hasKey: boolean };

export function SignIn({ isChecking, reason, hasKey }: Props) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const key = field.current?.value.trim() ?? "";
    if (key !== "") void signIn(key);
  };
  return (
    <main class="sign-in">
      <form class="card" onSubmit={submit} aria-busy={isChecking}>
        <div class="mark">
          <Icon name="tree" />
        </div>
        <h1>Customer groups</h1>
        <p class="quiet">
          The tree that customers are classified by. Sign in with an API key. A read-only key is enough to browse.
        </p>
        <label class="field">
          <span>API key</span>
          <input
            ref={field}
            type="password"
            autocomplete="off"
            placeholder="sk_…"
            spellcheck={false}
            required
            aria-invalid={reason !== null}
            aria-describedby={reason ? "sign-in-reason" : undefined}
          />
        </label>
        {reason && (
          <div id="sign-in-reason" class="notice is-failure" role="alert">
            <p>{reason.message}</p>
            {reason.kind !== "unauthenticated" && <p>{advice(reason)}</p>}
          </div>
        )}
        <button class="primary" disabled={isChecking}>
          {isChecking ? "Signing in…" : "Sign in"}
        </button>
        {hasKey && !isChecking && (
          <button type="button" onClick={() => void resume()}>
            Try again with the stored key
          </button>
        )}
        <p class="quiet small">The key is stored in this tab only. It is removed when you close the tab or sign out.</p>
      </form>
    </main>
  );
}
