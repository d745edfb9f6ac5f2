import { expect, test } from "vitest";
import type { Forwarding } from "../api/types";
import { CounterRate, Samples, slices } from "../model/statistics";
import { reasonOf, stages } from "../model/test-report";
import { linkHref, parse } from "../router";

const forwarding = (part: Partial<Forwarding>): Forwarding => ({
  matched: 0, success: 0, failed: 0, dropped: 0, retried: 0, queuing: 0, inflight: 0, rate: 0, rate_last5m: 0, rate_max: 0, ...part,
});

test("the ring is whole, and small parts stay visible", () => {
  const parts = slices(forwarding({ success: 1_000_000, failed: 1, queuing: 2, inflight: 3 }));
  expect(parts.map((part) => part.value)).toEqual([1_000_000, 5, 1, 0]);
  expect(parts.reduce((sum, part) => sum + part.share, 0)).toBeCloseTo(1);
  expect(parts[2]?.share).toBeGreaterThan(0.01);
  expect(parts[3]?.share).toBe(0);
  expect(slices(forwarding({})).every((part) => part.share === 0)).toBe(true);
});

test("a counter that falls was reset and gives no rate", () => {
  const rate = new CounterRate();
  expect(rate.next(0, 100)).toBeUndefined();
  expect(rate.next(2000, 300)).toBe(100);
  expect(rate.next(4000, 0)).toBeUndefined();
  expect(rate.next(5000, 7)).toBe(7);
});

test("samples keep the newest and ignore what is not newer", () => {
  const samples = new Samples(2);
  samples.push(1, 10);
  samples.push(2, 20);
  samples.push(2, 99);
  samples.push(3, 30);
  expect(samples.values).toEqual([20, 30]);
});

test("a test shows what was reached, what failed and what was not tried", () => {
  const failed = {
    ok: false,
    reached: "connack",
    steps: [
      { step: "dns", ok: true, took_ms: 0 },
      { step: "tcp", ok: true, took_ms: 3 },
      { step: "connack", ok: false, took_ms: 9 },
    ],
  };
  expect(stages(failed).map((stage) => [stage.step, stage.state])).toEqual([
    ["dns", "done"],
    ["tcp", "done"],
    ["connack", "failed"],
    ["suback", "skipped"],
    ["handshake", "skipped"],
  ]);
  expect(stages({ ok: true, steps: [{ step: "tcp", ok: true }] })).toHaveLength(1);
  expect(stages(undefined).every((stage) => stage.state === "waiting")).toBe(true);
});

test("sentence, detail and advice of a failed test are told apart", () => {
  const sentence = "The remote refuses the user name or password.";
  const report = { ok: false, steps: [], reason: "login_refused", message: `${sentence} (0x86) Check username.` };
  expect(reasonOf(report, sentence)).toEqual({ code: "login_refused", message: `${sentence} (0x86)`, advice: "Check username." });
  expect(reasonOf({ ...report, message: `${sentence} Check.` }, sentence)).toMatchObject({ message: sentence, advice: "Check." });
  expect(reasonOf({ ...report, message: "Something new." }, undefined)).toEqual({ code: "login_refused", message: "Something new." });
  expect(reasonOf({ ok: true, steps: [] }, sentence)).toBeUndefined();
});

test("every link has an address, even one that is called create", () => {
  for (const name of ["eu-west", "create", "link", "a b", "ü"]) {
    for (const tab of ["overview", "settings"] as const) {
      const url = new URL(linkHref(name, tab), "http://x");
      expect(parse(url.pathname, url.search), name).toEqual({ page: "link", name, tab });
    }
  }
  expect(parse("/cluster-linking/create", "")).toEqual({ page: "link-create" });
  expect(parse("/", "")).toEqual({ page: "overview" });
  expect(parse("/topic-tester", "?topic=a%2Fb")).toEqual({ page: "topic-tester", topic: "a/b" });
  expect(parse("/cluster-linking/%E0%A4%A", "").page).toBe("unknown");
  expect(parse("/nowhere", "").page).toBe("unknown");
});
