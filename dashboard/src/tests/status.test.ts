import { expect, test } from "vitest";
import type { Link } from "../api/types";
import { directions, health, linkWord, nodeWord, tolerates, toneOf } from "../model/status";

const link = (part: Partial<Link>): Link => ({
  name: "eu",
  enable: true,
  server: "h:1883",
  topics: ["a/#"],
  status: "connected",
  replication_status: "online",
  ...part,
});
const node = (status: string, replication_status?: string) => ({
  node: "n1",
  status,
  ...(replication_status ? { replication_status } : {}),
});

test("running means pool and replication, as the server rolls it up", () => {
  const table: [string, string, string][] = [
    ["connected", "online", "running"],
    ["connected", "bootstrapping", "connecting"],
    ["connected", "handshaking", "connecting"],
    ["connected", "rejected", "disconnected"],
    ["connecting", "online", "connecting"],
    ["disconnected", "online", "disconnected"],
    ["inconsistent", "inconsistent", "inconsistent"],
  ];
  for (const [pool, replication, word] of table) {
    expect(nodeWord(node(pool, replication), true), `${pool} ${replication}`).toBe(word);
  }
  expect(nodeWord(node("disconnected", "disabled"), false)).toBe("stopped");
  expect(nodeWord(node("inconsistent"), false)).toBe("inconsistent");
});

test("nodes that differ make the link inconsistent", () => {
  expect(linkWord(link({ node_status: [node("connected", "online"), node("connected", "online")] }))).toBe("running");
  expect(linkWord(link({ node_status: [node("connected", "online"), node("disconnected", "online")] }))).toBe("inconsistent");
  expect(linkWord(link({ enable: false, node_status: [node("disconnected", "disabled")] }))).toBe("stopped");
  expect(linkWord(link({}))).toBe("running");
});

test("each direction has its own state, and a link without topics only sends", () => {
  expect(directions(link({ replication_status: "rejected" }))).toEqual({
    out: { state: "connected", tone: "good" },
    in: { state: "rejected", tone: "bad" },
  });
  expect(directions(link({ topics: [] })).in).toEqual({ state: "send_only", tone: "off" });
  expect(directions(link({ paused: true })).out.state).toBe("paused");
  expect(directions(link({ enable: false })).out.tone).toBe("off");
});

test("a state of a newer server asks for attention instead of looking well", () => {
  expect(toneOf("quarantined")).toBe("warn");
  expect(toneOf(undefined)).toBe("off");
});

test("nodes that are down already count against further failures", () => {
  const up = { node_status: "running" };
  const down = { node_status: "stopped" };
  expect(tolerates([up, up, up], 1)).toBe(1);
  expect(tolerates([up, up, down], 1)).toBe(0);
  expect(tolerates([up, down, down], 1)).toBe(0);
  expect(tolerates([up, up, up, up, down], 2)).toBe(1);
  expect(tolerates([up], undefined)).toBeUndefined();
});

test("the worst fact decides the sentence of health", () => {
  const up = { node_status: "running" };
  const down = { node_status: "stopped" };
  const bad = link({ status: "disconnected" });
  expect(health([up], true, []).key).toBe("health.good.nolinks");
  expect(health([up, up], true, [link({})])).toMatchObject({ key: "health.good", tone: "good" });
  expect(health([up, down], true, [link({})])).toMatchObject({ key: "health.nodes", tone: "warn" });
  expect(health([up], true, [bad, link({})])).toMatchObject({ key: "health.links", tone: "bad", params: { ill: 1, links: 2 } });
  expect(health([up], true, [link({ status: "connecting" })])).toMatchObject({ key: "health.links", tone: "busy" });
  expect(health([up, down], true, [bad])).toMatchObject({ key: "health.both", tone: "bad" });
  expect(health([up, down, down], false, [])).toMatchObject({ key: "health.noquorum", tone: "bad" });
  // A disabled link is a choice.
  expect(health([up], true, [link({ enable: false, status: "disconnected" })]).tone).toBe("good");
});
