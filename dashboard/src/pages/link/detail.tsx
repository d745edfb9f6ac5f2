/** One link (U-6): how it goes, and what it is set to. */
import { useEffect, useRef, useState } from "preact/hooks";
import { Refusal } from "../../api/client";
import { api } from "../../api/endpoints";
import type { Link, MetricsReport } from "../../api/types";
import { t, word } from "../../i18n";
import { CounterRate, Samples } from "../../model/statistics";
import { linkWord, toneOf } from "../../model/status";
import { go, linkHref } from "../../router";
import { cluster } from "../../state/cluster";
import { usePoll } from "../../state/poll";
import { Card, Empty, Failure, PageHead, ReasonNotice, When } from "../../ui/blocks";
import { Button, Spinner, Switch, Tag } from "../../ui/controls";
import { DirectionsPicture } from "../../ui/topology";
import { pauseLink, removeLink, switchLink } from "./actions";
import { Events } from "./events";
import { NodeStatusTable } from "./nodes";
import { RouteBrowser } from "./routes";
import { Settings } from "./settings";
import { Statistics } from "./statistics";
import { TestConnection } from "./test";
import { toForm, toJson } from "../../model/link-form";

const EVERY_MS = 3000;
/** A minute of samples for the bars. */
export const BARS = 20;

export function LinkDetail({ name, tab }: { name: string; tab: "overview" | "settings" }) {
  const link = usePoll((signal) => api.link(name, { signal }), EVERY_MS, ["link", name], ["links"]);
  const [busy, setBusy] = useState(false);
  const act = async (action: () => Promise<boolean>) => {
    setBusy(true);
    if (await action()) link.refresh();
    setBusy(false);
  };
  const gone = link.error instanceof Refusal && link.error.status === 404;
  const value = gone ? undefined : link.value;
  const state = value ? linkWord(value) : undefined;
  return (
    <>
      <PageHead title={name} back={{ href: "/cluster-linking", text: t("menu.links") }}>
        {value && state ? (
          <>
            <Tag tone={toneOf(state)}>{word("state", state)}</Tag>
            {value.paused ? <Tag tone="warn">{t("state.paused")}</Tag> : null}
            <span class="labelled">
              {t("links.enable")}
              <Switch on={value.enable} label={t("links.enable.of", { name })} writes busy={busy} onChange={(on) => void act(() => switchLink(value, on))} />
            </span>
            {value.enable ? (
              <Button icon={value.paused ? "play" : "pause"} writes busy={busy} onClick={() => void act(() => pauseLink(name, !value.paused))}>
                {t(value.paused ? "resume" : "pause")}
              </Button>
            ) : null}
            <Button
              icon="trash"
              writes
              onClick={() =>
                void act(async () => {
                  if (await removeLink(name)) go("/cluster-linking");
                  return false;
                })
              }
            >
              {t("delete")}
            </Button>
          </>
        ) : null}
      </PageHead>
      {gone ? (
        <Empty title={t("link.gone", { name })}>
          <a href="/cluster-linking">{t("link.gone.back")}</a>
        </Empty>
      ) : (
        <Failure error={link.error} retry={link.refresh} />
      )}
      {link.loading && !value ? <Spinner /> : null}
      {value ? (
        <>
          <nav class="tabs" aria-label={t("link.tabs")}>
            <a href={linkHref(name)} aria-current={tab === "overview" ? "page" : undefined}>
              {t("tab.overview")}
            </a>
            <a href={linkHref(name, "settings")} aria-current={tab === "settings" ? "page" : undefined}>
              {t("tab.settings")}
            </a>
          </nav>
          {tab === "overview" ? <LinkOverview link={value} /> : <Settings link={value} onSaved={link.refresh} />}
        </>
      ) : null}
    </>
  );
}

function LinkOverview({ link }: { link: Link }) {
  const counter = useRef(new CounterRate());
  const [inRate, setInRate] = useState<number | undefined>(undefined);
  const history = useRef(new Map<string, { counter: CounterRate; samples: Samples }>());
  const read = async (signal: AbortSignal): Promise<MetricsReport> => {
    const report = await api.linkMetrics(link.name, { signal });
    const now = Date.now();
    // From the counters, because the server's rate changes every 10 s only.
    const note = (node: string, matched: number) => {
      let kept = history.current.get(node);
      if (!kept) history.current.set(node, (kept = { counter: new CounterRate(), samples: new Samples(BARS) }));
      const rate = kept.counter.next(now, matched);
      if (rate !== undefined) kept.samples.push(now, rate);
    };
    note("", report.metrics.forwarding.matched);
    for (const row of report.node_metrics) note(row.node, row.metrics.forwarding.matched);
    if (report.metrics.inbound) setInRate(counter.current.next(now, report.metrics.inbound.received));
    return report;
  };
  const metrics = usePoll(read, EVERY_MS, ["metrics", link.name]);
  const [routesOpen, setRoutesOpen] = useState(false);
  useEffect(() => history.current.clear(), [link.name]);
  const local = cluster.value?.name ?? "–";
  const state = linkWord(link);
  const told = link.reason && (state !== "running" || link.paused);
  return (
    <>
      {told && link.reason ? (
        <ReasonNotice reason={link.reason} tone={toneOf(link.paused && state === "running" ? "paused" : state)} link={link} local={local} who={whose(link)} />
      ) : null}
      {(link.warnings ?? []).map((warning) => (
        <ReasonNotice key={warning.code} reason={warning} tone="warn" link={link} local={local} />
      ))}
      <Card title={t("ways.title")} {...(link.since ? { actions: <SinceText at={link.since} /> } : {})}>
        <DirectionsPicture link={link} local={local} traffic={{ metrics: metrics.value?.metrics, inRate }} />
      </Card>
      <Failure error={metrics.error} retry={metrics.refresh} />
      <Statistics link={link} report={metrics.value} history={history.current} refresh={metrics.refresh} />
      <NodeStatusTable link={link} report={metrics.value} local={local} />
      <div class="grid two">
        <div>
          <TestConnection body={() => ({ ...toJson(toForm(link), link), name: link.name })} ready />
          <Card
            title={t("routes.browser")}
            actions={
              <Button small onClick={() => setRoutesOpen(!routesOpen)}>
                {t(routesOpen ? "routes.hide" : "routes.show")}
              </Button>
            }
          >
            {routesOpen ? <RouteBrowser name={link.name} /> : <p class="soft">{t("routes.hint")}</p>}
          </Card>
        </div>
        <Events name={link.name} />
      </div>
    </>
  );
}

/** The nodes that the reason is about, unless it is about all. */
function whose(link: Link): string {
  const rows = link.node_status ?? [];
  const named = rows.filter((row) => row.reason?.code === link.reason?.code);
  return named.length > 0 && named.length < rows.length ? named.map((row) => row.node).join(", ") : "";
}

function SinceText({ at }: { at: string }) {
  return (
    <span class="soft">
      {t("since")} <When at={at} />
    </span>
  );
}
