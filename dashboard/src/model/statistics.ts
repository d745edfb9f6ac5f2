/** Numbers of a link's detail page (U-6): the ring, and rates over time. */
import type { Forwarding, LinkMetrics, MetricsReport } from "../api/types";

export type SliceName = "success" | "processing" | "failed" | "dropped";

export interface Slice {
  name: SliceName;
  value: number;
  /** Start and length on the ring, 0…1. */
  from: number;
  share: number;
}

/** The parts of all matched messages; a part that is not empty stays visible (1.5 %). */
export function slices(f: Forwarding): Slice[] {
  const values: [SliceName, number][] = [
    ["success", f.success],
    ["processing", f.queuing + f.inflight],
    ["failed", f.failed],
    ["dropped", f.dropped],
  ];
  const sum = values.reduce((total, [, value]) => total + value, 0);
  const least = 0.015;
  const wanted = values.map(([, value]) => (value === 0 || sum === 0 ? 0 : Math.max(value / sum, least)));
  const whole = wanted.reduce((total, value) => total + value, 0) || 1;
  let from = 0;
  return values.map(([name, value], index) => {
    const share = (wanted[index] ?? 0) / whole;
    const slice = { name, value, from, share };
    from += share;
    return slice;
  });
}

/** Metrics of the cluster, or of one node when it is chosen and known. */
export function chosen(report: MetricsReport | undefined, node: string): LinkMetrics | undefined {
  if (!report) return undefined;
  return node === "" ? report.metrics : report.node_metrics.find((row) => row.node === node)?.metrics;
}

/** Fixed window of samples, oldest first; shorter while it fills. */
export class Samples {
  private readonly kept: { at: number; value: number }[] = [];

  constructor(private readonly size: number) {}

  push(at: number, value: number): void {
    const last = this.kept.at(-1);
    if (last && at <= last.at) return;
    this.kept.push({ at, value });
    if (this.kept.length > this.size) this.kept.shift();
  }

  clear(): void {
    this.kept.length = 0;
  }

  get values(): number[] {
    return this.kept.map((sample) => sample.value);
  }

  get times(): number[] {
    return this.kept.map((sample) => sample.at);
  }
}

/** Per-second rate of a counter between two readings; a counter that fell was reset. */
export class CounterRate {
  private last: { at: number; count: number } | undefined;

  next(at: number, count: number): number | undefined {
    const before = this.last;
    this.last = { at, count };
    if (!before || at <= before.at || count < before.count) return undefined;
    return ((count - before.count) * 1000) / (at - before.at);
  }
}
