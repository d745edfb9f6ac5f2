/** Who is logged in, in this tab. The token lives in sessionStorage: it ends with the tab. */
import { computed, signal } from "@preact/signals";

export interface Session {
  username: string;
  role: string;
  token: string;
}

const KEY = "spanmq.session";

function stored(): Session | null {
  try {
    const value = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Partial<Session> | null;
    const whole = value && [value.username, value.role, value.token].every((v) => typeof v === "string");
    return whole ? (value as Session) : null;
  } catch {
    return null;
  }
}

function keep(value: Session | null): void {
  try {
    if (value) sessionStorage.setItem(KEY, JSON.stringify(value));
    else sessionStorage.removeItem(KEY);
  } catch {
    // A browser that keeps nothing still works until the next reload.
  }
}

export const session = signal<Session | null>(stored());
/** The login ran out while a page was open: the page stays behind the login form. */
export const expired = signal(false);
/** A viewer reads; everything else may write. The server decides, this only explains. */
export const mayWrite = computed(() => session.value?.role === "administrator");

export function startSession(value: Session): void {
  keep(value);
  session.value = value;
  expired.value = false;
}

export function expireSession(): void {
  keep(null);
  expired.value = session.value !== null || expired.value;
  session.value = null;
}

export function endSession(): void {
  keep(null);
  session.value = null;
  expired.value = false;
}
