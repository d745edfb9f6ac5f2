/** Routes of a link: what the remote's clients want from us, and what we tell it that ours want. */
import { useState } from "preact/hooks";
import { api } from "../../api/endpoints";
import type { LearntRoute, Page, SentRoute } from "../../api/types";
import { t } from "../../i18n";
import { Empty, Failure } from "../../ui/blocks";
import { Segmented, Spinner, Tag } from "../../ui/controls";
import { Search, useSettled } from "../../ui/search";
import { usePages, VirtualTable, type Column } from "../../ui/virtual";

type Side = "learnt" | "sent";
interface Row {
  key: string;
  topic: string;
  text: string;
  stale: boolean;
}

const ofLearnt = (route: LearntRoute): Row => ({
  key: `${route.topic}\n${route.id}`,
  topic: route.topic,
  text: route.actors.join(", "),
  stale: route.stale,
});
const ofSent = (route: SentRoute): Row => ({
  key: `${route.topic}\n${route.subscription}`,
  topic: route.topic,
  text: (route.subscription === route.topic ? "" : `${route.subscription} · `) + route.nodes.join(", "),
  stale: false,
});

export function RouteBrowser({ name }: { name: string }) {
  const [side, setSide] = useState<Side>("learnt");
  const [text, setText] = useState("");
  const filter = useSettled(text.trim());
  const rows = usePages<Row>(
    async ({ page, limit }, signal): Promise<Page<Row>> => {
      const answer = await api.linkRoutes(name, { page, limit, filter: filter || undefined }, { signal });
      const data = side === "learnt" ? answer.learnt.map(ofLearnt) : answer.sent.map(ofSent);
      // `hasnext` is about both lists; a short page is the last of this one.
      return { data, meta: { limit, hasnext: answer.meta.hasnext } };
    },
    `${name}\n${side}\n${filter}`,
  );
  const columns: Column<Row>[] = [
    {
      name: "topic",
      title: t("routes.filter"),
      cell: (row) => (
        <span class="mono cut" title={row.topic}>
          {row.topic}
        </span>
      ),
    },
    {
      name: "actors",
      title: t(side === "learnt" ? "routes.actors" : "routes.source"),
      cell: (row) => (
        <span class="cut" title={row.text}>
          {row.stale ? <Tag tone="warn">{t("state.stale")}</Tag> : null} {row.text || "–"}
        </span>
      ),
    },
  ];
  return (
    <>
      <Segmented
        label={t("routes.side")}
        value={side}
        options={[
          { value: "learnt", text: t("routes.learnt") },
          { value: "sent", text: t("routes.sent") },
        ]}
        onChange={setSide}
      />
      <div class="tools">
        <Search value={text} onInput={setText} label={t("routes.search")} />
        <span class="soft">{rows.loading ? "" : t(rows.more ? "count.more" : "count", { count: rows.known })}</span>
      </div>
      <Failure error={rows.error} retry={rows.refresh} />
      {rows.loading ? <Spinner /> : null}
      {!rows.loading && !rows.error && rows.count === 0 ? <Empty title={t(side === "learnt" ? "routes.none" : "routes.none.sent")} /> : null}
      {rows.count > 0 ? (
        <VirtualTable label={t("routes.browser")} class="two-columns" rows={rows} columns={columns} rowKey={(row) => row.key} rowHeight={38} phoneRowHeight={58} />
      ) : null}
    </>
  );
}
