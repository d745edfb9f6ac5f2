/** One sentence of health, then what it is made of. */
import { useRef } from "preact/hooks";
import { api } from "../api/endpoints";
import type { Alarm, Link, NodeInfo, NodeNumbers } from "../api/types";
import { t, word } from "../i18n";
import { CounterRate, Samples } from "../model/statistics";
import { health, linkWord, tolerates, toneOf } from "../model/status";
import { showBytes, showDuration, showRate } from "../model/units";
import { cluster } from "../state/cluster";
import { usePoll } from "../state/poll";
import { linkHref } from "../router";
import { Card, Empty, Failure, PageHead, ReasonNotice, When } from "../ui/blocks";
import { Chart, Legend } from "../ui/charts";
import { Spinner, Tag } from "../ui/controls";
import { Topology, type Traffic } from "../ui/topology";

/** Remotes in the picture; the list has them all. Those that need attention come first. */
const SHOWN_MAX = 8;
const EVERY_MS = 3000;
const SAMPLES_MAX = 100;

interface Now {
  links: Link[];
  traffic: Map<string, Traffic>;
}

function worstFirst(links: Link[]): Link[] {
  const order = ["disconnected", "inconsistent", "connecting", "running", "stopped"];
  const rank = (link: Link) => order.indexOf(linkWord(link));
  return [...links].sort((a, b) => rank(a) - rank(b));
}

export function Overview() {
  const rates = useRef({ out: new Map<string, CounterRate>(), in: new Map<string, CounterRate>() });
  const history = useRef({ out: new Samples(SAMPLES_MAX), in: new Samples(SAMPLES_MAX), published: new Samples(SAMPLES_MAX) });
  const published = useRef(new CounterRate());
  const nodes = usePoll((signal) => api.nodes({ signal }), 5000, ["nodes"]);
  const stats = usePoll((signal) => api.stats({ signal }), 5000, ["stats"]);
  const alarms = usePoll((signal) => api.alarms({ signal }), 10_000, ["alarms"], ["alarms"]);
  const links = usePoll(
    async (signal): Promise<Now> => {
      const all = await api.links({ signal });
      const shown = worstFirst(all).slice(0, SHOWN_MAX);
      // Numbers of the whole broker are worth less than the links: without them the rest is shown.
      const broker = api.metrics({ signal }).catch(() => undefined);
      const metrics = await Promise.all(
        shown.map((link) => api.linkMetrics(link.name, { signal }).then((report) => report.metrics).catch(() => undefined)),
      );
      const now = Date.now();
      const traffic = new Map<string, Traffic>();
      let out = 0;
      let inbound = 0;
      let known = false;
      const next = (counters: Map<string, CounterRate>, name: string, count: number) => {
        let counter = counters.get(name);
        if (!counter) counters.set(name, (counter = new CounterRate()));
        return counter.next(now, count);
      };
      shown.forEach((link, index) => {
        const read = metrics[index];
        const inRate = read?.inbound ? next(rates.current.in, link.name, read.inbound.received) : undefined;
        const outRate = read ? next(rates.current.out, link.name, read.forwarding.matched) : undefined;
        traffic.set(link.name, { metrics: read, inRate });
        out += outRate ?? 0;
        inbound += inRate ?? 0;
        known ||= outRate !== undefined;
      });
      const rows = (await broker)?.filter((row) => row.reachable);
      const rate = rows && published.current.next(now, sumOf(rows, "publishes_received"));
      if (rate !== undefined) history.current.published.push(now, rate);
      // The first reading has nothing to compare with.
      if (known || shown.length === 0) {
        history.current.out.push(now, out);
        history.current.in.push(now, inbound);
      }
      return { links: all, traffic };
    },
    EVERY_MS,
    ["links"],
  );

  const info = cluster.value;
  const all = links.value?.links ?? [];
  const shown = worstFirst(all).slice(0, SHOWN_MAX);
  const ready = nodes.value !== undefined && links.value !== undefined;
  const survives = tolerates(nodes.value ?? [], info?.failures_tolerated);
  const state = health(nodes.value ?? [], info?.quorum, all);
  // A silent node is told by the sentence and by the table of nodes, once and not per link.
  const troubled = shown
    .filter((link) => link.enable && link.reason && link.reason.code !== "node_unreachable" && linkWord(link) !== "running")
    .slice(0, 3);

  return (
    <>
      <PageHead title={t("menu.overview")} />
      <Failure error={nodes.error ?? links.error} retry={() => (nodes.refresh(), links.refresh())} />
      {ready ? (
        <div class={`health ${state.tone}`} role="status">
          <span class="health-dot" aria-hidden="true" />
          <p>
            {t(state.key, state.params)}
            {survives === undefined ? null : (
              <span class="health-more">
                {" "}
                {survives === 0 ? t("health.tolerates.none") : t("health.tolerates", { count: survives })}
              </span>
            )}
          </p>
        </div>
      ) : nodes.loading || links.loading ? (
        <Spinner />
      ) : null}
      {troubled.map((link) =>
        link.reason ? (
          <ReasonNotice key={link.name} reason={link.reason} tone={toneOf(linkWord(link))} link={link} local={info?.name ?? ""} who={link.name} />
        ) : null,
      )}

      <div class="grid overview">
        <Card title={t("topology.title")} class="span2">
          {links.value && all.length === 0 ? (
            <Empty title={t("topology.none")}>
              <a class="button primary" href="/cluster-linking/create">
                {t("links.create")}
              </a>
            </Empty>
          ) : (
            <Topology local={info?.name ?? "–"} links={shown} traffic={links.value?.traffic ?? new Map()} more={all.length - shown.length} />
          )}
        </Card>
        <Throughput
          times={history.current.out.times}
          out={history.current.out.values}
          inbound={aligned(history.current.out, history.current.in)}
          published={aligned(history.current.out, history.current.published)}
        />
        <Card title={t("alarms.title")}>
          <Failure error={alarms.error} retry={alarms.refresh} />
          <Alarms alarms={alarms.value} />
        </Card>
        <Card title={t("nodes.title")} class="span2">
          <NodeTable nodes={withStats(nodes.value ?? [], stats.value)} />
        </Card>
      </div>
    </>
  );
}

const sumOf = (rows: NodeNumbers[], name: string) =>
  rows.reduce((sum, row) => sum + (typeof row[name] === "number" ? row[name] : 0), 0);

/** Values of `other` at the times of `base`, with gaps where it has none. */
function aligned(base: Samples, other: Samples): (number | null)[] {
  const at = new Map(other.times.map((time, index) => [time, other.values[index] ?? null]));
  return base.times.map((time) => at.get(time) ?? null);
}

function withStats(nodes: NodeInfo[], stats: NodeNumbers[] | undefined): NodeInfo[] {
  return nodes.map((node) => {
    const row = stats?.find((one) => one.node === node.node && one.reachable);
    const connections = node.connections ?? row?.["connections"];
    return typeof connections === "number" ? { ...node, connections } : node;
  });
}

type Values = (number | null)[];

function Throughput(props: { times: number[]; out: Values; inbound: Values; published: Values }) {
  const show = (values: Values) => {
    const last = values.at(-1);
    return last === undefined || last === null ? "–" : showRate(last);
  };
  const lines = [
    { color: "published", text: t("throughput.published"), values: props.published },
    { color: "out", text: t("direction.out"), values: props.out },
    { color: "in", text: t("direction.in"), values: props.inbound },
  ];
  const now = lines.map(({ color, text, values }) => ({ color, text, value: show(values) }));
  return (
    <Card title={t("throughput.title")} note={t("unit.rate")}>
      <Legend items={now} />
      <Chart
        times={props.times}
        label={now.map((line) => `${line.text}: ${line.value}`).join(", ")}
        series={lines.map(({ color, text, values }) => ({ label: text, color: `--series-${color}`, values }))}
      />
    </Card>
  );
}

function Alarms({ alarms }: { alarms: Alarm[] | undefined }) {
  if (!alarms) return <p class="soft">–</p>;
  if (alarms.length === 0) return <Empty title={t("alarms.none")} />;
  return (
    <ul class="alarms">
      {alarms.map((alarm) => {
        const link = /^cluster_link(?:_replication)?:(.+)$/.exec(alarm.name)?.[1];
        return (
          <li key={`${alarm.name}@${alarm.node}`}>
            <p>
              <Tag tone="bad">{link ? <a href={linkHref(link)}>{alarm.name}</a> : alarm.name}</Tag>
            </p>
            <p>{alarm.message}</p>
            <p class="soft">
              {alarm.node ? `${alarm.node} · ` : ""}
              <When at={alarm.activate_at} />
            </p>
          </li>
        );
      })}
    </ul>
  );
}

const memory = (value: number | string | undefined) =>
  value === undefined ? "–" : typeof value === "number" ? showBytes(value) : value;

function NodeTable({ nodes }: { nodes: NodeInfo[] }) {
  const applied = Math.max(...nodes.map((node) => node.applied ?? 0), cluster.value?.applied ?? 0);
  const lagOf = (node: NodeInfo) => node.lag ?? (node.applied === undefined ? undefined : Math.max(applied - node.applied, 0));
  const hasMemory = nodes.some((node) => node.memory_used !== undefined);
  const hasUptime = nodes.some((node) => node.uptime !== undefined);
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={t("nodes.title")}>
      <table class="table">
        <thead>
          <tr>
            <th>{t("nodes.name")}</th>
            <th>{t("status")}</th>
            <th>{t("nodes.role")}</th>
            <th class="end">{t("nodes.term")}</th>
            <th class="end">{t("nodes.applied")}</th>
            <th class="end">{t("nodes.lag")}</th>
            <th class="end">{t("nodes.connections")}</th>
            {hasMemory ? <th class="end">{t("nodes.memory")}</th> : null}
            {hasUptime ? <th class="end">{t("nodes.uptime")}</th> : null}
            <th>{t("nodes.version")}</th>
          </tr>
        </thead>
        <tbody>
          {nodes.map((node) => {
            const running = node.node_status === "running";
            const own = node.node === cluster.value?.self;
            return (
              <tr key={node.node} class={running ? "" : "partial"}>
                <th scope="row">
                  {node.node}
                  {own ? <span class="soft"> {t("nodes.self")}</span> : null}
                </th>
                <td>
                  <Tag tone={running ? "good" : "bad"}>{word("state", node.node_status)}</Tag>
                </td>
                <td>{word("role", node.role ?? "", node.role ?? "–")}</td>
                <td class="end">{node.term ?? (own ? cluster.value?.term : undefined) ?? "–"}</td>
                <td class="end">{node.applied ?? (own ? cluster.value?.applied : undefined) ?? "–"}</td>
                <td class="end">{lagOf(node) ?? "–"}</td>
                <td class="end">{node.connections ?? "–"}</td>
                {hasMemory ? <td class="end">{memory(node.memory_used)}</td> : null}
                {hasUptime ? <td class="end">{node.uptime === undefined ? "–" : showDuration(node.uptime)}</td> : null}
                <td>{node.version || "–"}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
