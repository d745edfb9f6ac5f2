/** The link that the other side needs, as JSON to paste there. */
import type { Link } from "../api/types";

export const ADDRESS_PLACEHOLDER = "ADDRESS-OF-THIS-CLUSTER:1883";

/**
 * Its name is our cluster's name. What the other side wants to receive is its own decision, so
 * `topics` is empty (it then sends to us and receives nothing). No secret crosses: user name and
 * password belong to the other direction.
 */
export function counterpart(link: Link, localCluster: string): Record<string, unknown> {
  return {
    name: localCluster,
    enable: true,
    server: ADDRESS_PLACEHOLDER,
    clientid: `${link.name}-`,
    topics: [],
    ...(link.ssl?.enable ? { ssl: { enable: true, verify: "verify_peer" } } : {}),
  };
}

/** The part of an advice that is meant to be pasted: from the first brace to the end. */
export function pasteOf(advice: string | undefined): { text: string; paste: string } {
  const at = advice?.indexOf("{") ?? -1;
  if (!advice || at < 0) return { text: advice ?? "", paste: "" };
  return { text: advice.slice(0, at).trimEnd(), paste: advice.slice(at) };
}
