/** Name of this cluster and of the node that answers; nearly every page needs it. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../api/endpoints";
import type { ClusterInfo } from "../api/types";
import { usePoll } from "./poll";

export const cluster = signal<ClusterInfo | undefined>(undefined);

export function useCluster(): void {
  const polled = usePoll((signal) => api.cluster({ signal }), 10_000, ["cluster"], ["cluster"]);
  useEffect(() => {
    if (polled.value) cluster.value = polled.value;
  }, [polled.value]);
}
