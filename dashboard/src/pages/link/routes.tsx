/** Routes learnt from the remote: what its clients want from us. */
import { useState } from "preact/hooks";
import { api } from "../../api/endpoints";
import type { LinkRoute } from "../../api/types";
import { t } from "../../i18n";
import { Empty, Failure } from "../../ui/blocks";
import { Spinner, Tag } from "../../ui/controls";
import { Search, useSettled } from "../../ui/search";
import { usePages, VirtualTable, type Column } from "../../ui/virtual";

const nameOf = (actor: NonNullable<LinkRoute["actors"]>[number]) => (typeof actor === "string" ? actor : actor.actor);

export function RouteBrowser({ name }: { name: string }) {
  const [text, setText] = useState("");
  const filter = useSettled(text.trim());
  const rows = usePages(
    (page, limit, signal) => api.linkRoutes(name, { page, limit, filter: filter || undefined }, { signal }),
    `${name}\n${filter}`,
  );
  const columns: Column<LinkRoute>[] = [
    {
      name: "topic",
      title: t("routes.filter"),
      cell: (row) => (
        <span class="mono cut" title={row.filter}>
          {row.filter}
        </span>
      ),
    },
    {
      name: "actors",
      title: t("routes.actors"),
      cell: (row) => (
        <span class="cut" title={(row.actors ?? []).map(nameOf).join("\n")}>
          {row.stale ? <Tag tone="warn">{t("state.stale")}</Tag> : null} {(row.actors ?? []).map(nameOf).join(", ") || "–"}
        </span>
      ),
    },
  ];
  return (
    <>
      <div class="tools">
        <Search value={text} onInput={setText} label={t("routes.search")} />
        <span class="soft">{t("count", { count: rows.count })}</span>
      </div>
      <Failure error={rows.error} retry={rows.refresh} />
      {rows.loading ? <Spinner /> : null}
      {!rows.loading && !rows.error && rows.count === 0 ? <Empty title={t("routes.none")} /> : null}
      {rows.count > 0 ? (
        <VirtualTable label={t("routes.browser")} class="two-columns" rows={rows} columns={columns} rowKey={(row) => row.filter} rowHeight={38} phoneRowHeight={58} />
      ) : null}
    </>
  );
}
