/**
 * What a link's state is called and which colour it has. The same tables as the server's roll-up
 * the dashboard reads the words of EMQX, which tell pool and replication apart, and
 * shows the words of the guide.
 */
import type { Link, NodeStatus } from "../api/types";

export type GuideWord = "running" | "connecting" | "disconnected" | "stopped" | "inconsistent";
export type Tone = "good" | "busy" | "bad" | "warn" | "off";

const TONES: Record<string, Tone> = {
  running: "good",
  connected: "good",
  online: "good",
  connecting: "busy",
  handshaking: "busy",
  bootstrapping: "busy",
  starting: "busy",
  disconnected: "bad",
  rejected: "bad",
  inconsistent: "warn",
  stale: "warn",
  paused: "warn",
  stopped: "off",
  disabled: "off",
};

/** Unknown words of a newer server are shown as they are, in the colour of "look at it". */
export const toneOf = (state: string | undefined): Tone => (state ? (TONES[state] ?? "warn") : "off");

export function nodeWord(node: NodeStatus, enabled: boolean): GuideWord {
  const pool = node.status;
  if (pool === "inconsistent") return "inconsistent";
  if (!enabled || pool === "stopped") return "stopped";
  if (pool === "running") return "running";
  if (pool !== "connected") return pool === "connecting" ? "connecting" : "disconnected";
  switch (node.replication_status) {
    case undefined:
    case "online":
      return "running";
    case "connecting":
    case "handshaking":
    case "bootstrapping":
      return "connecting";
    case "inconsistent":
      return "inconsistent";
    default:
      return "disconnected";
  }
}

export function linkWord(link: Link): GuideWord {
  const nodes = link.node_status ?? [];
  if (nodes.length === 0) {
    if (!link.enable) return "stopped";
    return nodeWord({ node: "", status: link.status ?? "disconnected", ...(link.replication_status ? { replication_status: link.replication_status } : {}) }, true);
  }
  const words = nodes.map((node) => nodeWord(node, link.enable));
  const first = words[0] ?? "disconnected";
  return words.every((one) => one === first) ? first : "inconsistent";
}

/** Both directions: we send over the pool; we receive what replication asked the remote for. */
export interface Directions {
  out: { state: string; tone: Tone };
  in: { state: string; tone: Tone };
}

export function directions(link: Link): Directions {
  if (!link.enable) {
    return { out: { state: "stopped", tone: "off" }, in: { state: "stopped", tone: "off" } };
  }
  const out = link.paused ? "paused" : (link.status ?? "disconnected");
  const inbound = link.replication_status ?? link.status ?? "disconnected";
  // An empty list of topics is a choice, not a fault: such a link only sends.
  const receives = link.topics.length > 0;
  return {
    out: { state: out, tone: toneOf(out) },
    in: receives ? { state: inbound, tone: toneOf(inbound) } : { state: "send_only", tone: "off" },
  };
}

/**
 * How many more nodes may fail: never more than a majority of all members leaves now, whatever the
 * server says it was built for.
 */
export function tolerates(nodes: { node_status: string }[], said: number | undefined): number | undefined {
  if (said === undefined) return undefined;
  const up = nodes.filter((node) => node.node_status === "running").length;
  return Math.max(Math.min(said, up - Math.floor(nodes.length / 2) - 1), 0);
}

export interface Health {
  tone: Tone;
  key:
    | "health.good"
    | "health.good.nolinks"
    | "health.noquorum"
    | "health.nodes"
    | "health.links"
    | "health.both";
  params: Record<string, number>;
}

/** One sentence for the whole cluster; the worst fact decides. */
export function health(
  nodes: { node_status: string }[],
  quorum: boolean | undefined,
  links: Link[],
): Health {
  const down = nodes.filter((node) => node.node_status !== "running").length;
  const words = links.filter((link) => link.enable).map(linkWord);
  const ill = words.filter((one) => one !== "running").length;
  const params = {
    nodes: nodes.length,
    up: nodes.length - down,
    down,
    links: words.length,
    running: words.length - ill,
    ill,
  };
  if (quorum === false) return { tone: "bad", key: "health.noquorum", params };
  if (down > 0 && ill > 0) return { tone: "bad", key: "health.both", params };
  if (down > 0) return { tone: "warn", key: "health.nodes", params };
  if (ill > 0) {
    const hard = words.some((one) => one === "disconnected" || one === "inconsistent");
    return { tone: hard ? "bad" : "busy", key: "health.links", params };
  }
  return { tone: "good", key: words.length === 0 ? "health.good.nolinks" : "health.good", params };
}
