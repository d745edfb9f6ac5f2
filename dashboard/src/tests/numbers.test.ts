import { expect, test } from "vitest";
import type { Forwarding } from "../api/types";
import { CounterRate, Samples, slices } from "../model/statistics";
import { stages, verdict } from "../model/test-report";
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
  const failed = { ok: false, steps: [{ step: "tcp", ok: true, ms: 3 }, { step: "connect", ok: false, ms: 9 }] };
  expect(stages(failed).map((stage) => [stage.step, stage.state])).toEqual([
    ["tcp", "done"],
    ["connect", "failed"],
    ["subscribe", "skipped"],
    ["handshake", "skipped"],
  ]);
  expect(verdict(failed)).toBe(false);
  const short = { reached: "connect", reason: { code: "acl_denied", message: "no" } };
  expect(stages(short).map((stage) => stage.state)).toEqual(["done", "done", "done", "failed", "skipped"]);
  expect(verdict(short)).toBe(false);
  expect(verdict({ reached: "handshake" })).toBe(true);
  expect(stages(undefined).every((stage) => stage.state === "waiting")).toBe(true);
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
