/** Ring, rates and the rest of U-6, for the cluster or one node. */
import { useState } from "preact/hooks";
import type { Link, MetricsReport } from "../../api/types";
import { t, type Key } from "../../i18n";
import { chosen, slices, type Samples } from "../../model/statistics";
import { showBytes, showCount, showDuration, showMicros, showRate } from "../../model/units";
import { Card, Facts } from "../../ui/blocks";
import { Bars, Ring } from "../../ui/charts";
import { Button } from "../../ui/controls";
import { resetStatistics } from "./actions";
import { BARS } from "./detail";

interface Props {
  link: Link;
  report: MetricsReport | undefined;
  history: Map<string, { samples: Samples }>;
  refresh: () => void;
}

export function Statistics({ link, report, history, refresh }: Props) {
  const [node, setNode] = useState("");
  const nodes = report?.node_metrics.map((row) => row.node) ?? [];
  const known = node === "" || nodes.includes(node) ? node : "";
  const metrics = chosen(report, known);
  const forwarding = metrics?.forwarding;
  const parts = forwarding ? slices(forwarding) : [];
  const number = (value: number | undefined) => (value === undefined ? "–" : showCount(value));
  const rate = (value: number | undefined) => (value === undefined ? "–" : showRate(value));
  const lines: [Key, string, number | undefined, boolean?][] = [
    ["stats.success", "s-success", forwarding?.success],
    ["stats.processing", "s-processing", forwarding && forwarding.queuing + forwarding.inflight],
    ["stats.inflight", "", forwarding?.inflight, true],
    ["stats.queuing", "", forwarding?.queuing, true],
    ["stats.failed", "s-failed", forwarding?.failed],
    ["stats.dropped", "s-dropped", forwarding?.dropped],
  ];
  const recent = history.get(known)?.samples.values ?? [];
  const reset = async () => {
    if (await resetStatistics(link.name)) refresh();
  };
  return (
    <Card
      title={t("stats.title")}
      actions={
        <>
          <select class="input compact" aria-label={t("stats.node")} value={known} onChange={(event) => setNode(event.currentTarget.value)}>
            <option value="">{t("stats.cluster")}</option>
            {nodes.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
          <Button small icon="refresh" onClick={refresh}>
            {t("stats.refresh")}
          </Button>
          <Button small writes onClick={() => void reset()}>
            {t("stats.reset")}
          </Button>
        </>
      }
    >
      <div class="stats">
        <div class="stats-ring">
          <Ring
            slices={parts}
            total={forwarding?.matched ?? 0}
            label={t("stats.alt", {
              total: forwarding?.matched ?? 0,
              success: forwarding?.success ?? 0,
              failed: forwarding?.failed ?? 0,
              dropped: forwarding?.dropped ?? 0,
            })}
          />
          <dl class="ring-lines">
            {lines.map(([key, swatch, value, sub]) => (
              <div key={key} class={sub ? "sub" : ""}>
                <dt>
                  {swatch ? <span class={`swatch ${swatch}`} aria-hidden="true" /> : null}
                  {t(key)}
                </dt>
                <dd title={value === undefined ? undefined : String(value)}>{number(value)}</dd>
              </div>
            ))}
          </dl>
        </div>
        <div class="stats-rate">
          <h3>
            {t("rate.title")} <span class="soft">{t("unit.rate")}</span>
          </h3>
          <div class="rate-now">
            <div>
              <span class="soft">{t("rate.now")}</span>
              <strong>{rate(forwarding?.rate)}</strong>
            </div>
            <Bars values={recent} slots={BARS} label={t("rate.bars")} />
          </div>
          <Facts
            items={[
              [t("rate.last5m"), rate(forwarding?.rate_last5m)],
              [t("rate.max"), rate(forwarding?.rate_max)],
            ]}
          />
        </div>
        <div class="stats-other">
          <h3>{t("others.title")}</h3>
          <Facts items={others(metrics)} />
        </div>
      </div>
    </Card>
  );
}

function others(metrics: ReturnType<typeof chosen>): [string, string][] {
  const number = (value: number | undefined) => (value === undefined ? "–" : showCount(value));
  const facts: [string, string][] = [
    [t("others.routes"), number(metrics?.router.routes)],
    [t("others.retried"), number(metrics?.forwarding.retried)],
    [t("others.received"), number(metrics?.inbound?.received)],
    [t("others.delivered"), number(metrics?.inbound?.delivered)],
  ];
  const latency = metrics?.forwarding.latency_us;
  if (latency) {
    facts.push([t("others.latency"), [latency.p50, latency.p95, latency.p99].map(showMicros).join(" / ")]);
  }
  const buffer = metrics?.buffer;
  if (buffer) {
    facts.push([t("others.buffer"), showBytes(buffer.bytes)]);
    if (buffer.oldest_at_ms) facts.push([t("others.lag"), showDuration(Math.max(Date.now() - buffer.oldest_at_ms, 0))]);
  }
  const replication = metrics?.replication;
  if (replication) {
    facts.push([t("others.pending"), number(replication.pending)]);
    facts.push([t("others.bootstrap"), replication.bootstraps === 0 ? "–" : showDuration(replication.last_bootstrap_ms)]);
  }
  return facts;
}
