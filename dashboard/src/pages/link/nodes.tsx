/** The link on each node: states with their reasons, and counters. One that did not answer is marked. */
import type { Link, MetricsReport } from "../../api/types";
import { t, word } from "../../i18n";
import { tell } from "../../i18n/reasons";
import { nodeWord, toneOf } from "../../model/status";
import { showCount, showRate } from "../../model/units";
import { Card, When } from "../../ui/blocks";
import { Tag } from "../../ui/controls";

export function NodeStatusTable({ link, report, local }: { link: Link; report: MetricsReport | undefined; local: string }) {
  const statuses = new Map((link.node_status ?? []).map((row) => [row.node, row]));
  const metrics = new Map((report?.node_metrics ?? []).map((row) => [row.node, row.metrics]));
  const nodes = [...new Set([...statuses.keys(), ...metrics.keys()])].sort();
  const silent = nodes.filter((node) => statuses.get(node)?.reason?.code === "node_unreachable");
  return (
    <Card title={t("node_status.title")} {...(silent.length > 0 ? { note: t("partial.nodes", { answered: nodes.length - silent.length, all: nodes.length }) } : {})}>
      <div class="scroll" tabIndex={0} role="group" aria-label={t("node_status.title")}>
        <table class="table">
          <thead>
            <tr>
              <th>{t("nodes.name")}</th>
              <th>{t("status")}</th>
              <th>{t("node_status.replication")}</th>
              <th class="end">{t("links.routes")}</th>
              <th class="end">{t("stats.matched")}</th>
              <th class="end">{t("stats.success")}</th>
              <th class="end">{t("stats.failed")}</th>
              <th class="end">{t("stats.dropped")}</th>
              <th class="end">{t("others.retried")}</th>
              <th class="end">{t("rate.short")}</th>
            </tr>
          </thead>
          <tbody>
            {nodes.map((node) => {
              const status = statuses.get(node);
              const unheard = status?.reason?.code === "node_unreachable";
              const row = unheard ? undefined : metrics.get(node);
              const state = status ? nodeWord(status, link.enable) : "inconsistent";
              const why = status?.reason ? tell(status.reason, link, local) : undefined;
              const number = (value: number | undefined) => (
                <td class="end" title={value === undefined ? undefined : String(value)}>
                  {value === undefined ? "–" : showCount(value)}
                </td>
              );
              return (
                <tr key={node} class={unheard ? "partial" : ""}>
                  <th scope="row">{node}</th>
                  <td>
                    <Tag tone={toneOf(state)}>{word("state", state)}</Tag>
                    {why && state !== "running" ? <p class="cell-note">{why.sentence}</p> : null}
                  </td>
                  <td>
                    {word("state", status?.replication_status ?? "", "–")}
                    {status?.since ? (
                      <p class="cell-note">
                        <When at={status.since} />
                      </p>
                    ) : null}
                  </td>
                  {number(row?.router.routes)}
                  {number(row?.forwarding.matched)}
                  {number(row?.forwarding.success)}
                  {number(row?.forwarding.failed)}
                  {number(row?.forwarding.dropped)}
                  {number(row?.forwarding.retried)}
                  <td class="end">{row ? showRate(row.forwarding.rate) : "–"}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
