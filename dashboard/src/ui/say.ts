/** Complaints and errors as sentences in the user's language. */
import { Refusal, Unreachable } from "../api/client";
import { isKey, t, type Params } from "../i18n";
import { complaints, type Complaint } from "../model/refusal";

/** A parameter that begins with `@` is itself a text. */
export function say(complaint: Complaint): string {
  const params: Params = {};
  for (const [name, value] of Object.entries(complaint.params)) {
    const key = typeof value === "string" && value.startsWith("@") ? value.slice(1) : "";
    params[name] = isKey(key) ? t(key) : value;
  }
  return t(complaint.key, params);
}

export function sayError(error: unknown): string {
  if (error instanceof Unreachable) return t(error.slow ? "error.slow" : "offline.short");
  if (error instanceof Refusal) {
    if (error.status === 404 && error.message.startsWith("No such endpoint")) return t("error.no_endpoint");
    return complaints(error.code, error.message).map(say).join(" ");
  }
  return t("error.unexpected", { detail: String(error) });
}
