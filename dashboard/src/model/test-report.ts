/** The answer of a connection test, as the stages that everybody sees (LINK-SPEC 4.4). */
import type { Reason, TestReport } from "../api/types";

/** Name and TLS are stages only where the server names them. */
export const STAGES = ["tcp", "connack", "suback", "handshake"] as const;

export interface Stage {
  step: string;
  state: "done" | "failed" | "skipped" | "waiting";
  ms?: number;
}

export function stages(report: TestReport | undefined): Stage[] {
  if (!report) return STAGES.map((step) => ({ step, state: "waiting" }));
  const told: Stage[] = report.steps.map((one) => ({
    step: one.step,
    state: one.ok ? "done" : "failed",
    ...(one.took_ms === undefined ? {} : { ms: one.took_ms }),
  }));
  const rest = report.ok ? [] : STAGES.filter((step) => !told.some((one) => one.step === step));
  return [...told, ...rest.map((step): Stage => ({ step, state: "skipped" }))];
}

/**
 * `message` is sentence, detail in brackets and advice in one text. With the known sentence of the
 * word they are told apart; without it all of it is the sentence.
 */
export function reasonOf(report: TestReport, sentence: string | undefined): Reason | undefined {
  const { reason: code, message = "" } = report;
  if (!code) return undefined;
  if (!sentence || !message.startsWith(sentence)) return { code, message };
  const rest = message.slice(sentence.length).trim();
  const close = rest.startsWith("(") ? rest.indexOf(")") : -1;
  const detail = close > 0 ? ` ${rest.slice(0, close + 1)}` : "";
  return { code, message: sentence + detail, advice: rest.slice(close + 1).trim() };
}
