/** The answer of a connection test, as the five stages that everybody sees (LINK-SPEC 4.4). */
import type { TestReport } from "../api/types";

export const STAGES = ["tcp", "tls", "connect", "subscribe", "handshake"] as const;

export interface Stage {
  step: string;
  state: "done" | "failed" | "skipped" | "waiting";
  ms?: number;
  detail?: string;
}

/** Stages that the server names itself keep its order; names are compared without case. */
export function stages(report: TestReport | undefined): Stage[] {
  const steps = report?.steps;
  if (steps && steps.length > 0) {
    const told = steps.map((one) => ({
      step: one.step.toLowerCase(),
      state: one.ok ? ("done" as const) : ("failed" as const),
      ...(one.ms === undefined ? {} : { ms: one.ms }),
      ...(one.detail ? { detail: one.detail } : {}),
    }));
    const failed = told.some((one) => one.state === "failed");
    const rest = STAGES.filter((step) => !told.some((one) => one.step === step));
    // TLS that was not asked for is no stage of this test.
    return [...told, ...(failed ? rest.filter((step) => step !== "tls").map((step) => ({ step, state: "skipped" as const })) : [])];
  }
  const reached = STAGES.findIndex((step) => step === report?.reached?.toLowerCase());
  return STAGES.map((step, index) => {
    if (!report) return { step, state: "waiting" };
    if (index <= reached) return { step, state: "done" };
    return { step, state: index === reached + 1 && report.ok !== true ? "failed" : "skipped" };
  });
}

export function verdict(report: TestReport): boolean {
  if (report.ok !== undefined) return report.ok;
  if (report.steps && report.steps.length > 0) return report.steps.every((step) => step.ok) && !report.reason;
  return report.reached?.toLowerCase() === "handshake";
}
