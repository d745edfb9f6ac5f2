import { api } from "../api/endpoints";
import type { Subscription } from "../api/types";
import { t } from "../i18n";
import { usePages, type Column } from "../ui/virtual";
import { ListPage, useListSearch } from "./list-page";

const flags = (row: Subscription) =>
  [row.nl ? "No Local" : "", row.rap ? "Retain As Published" : "", row.rh ? `Retain Handling ${row.rh}` : ""]
    .filter(Boolean)
    .join(", ") || "–";

export function Subscriptions() {
  const search = useListSearch();
  const rows = usePages(
    (page, limit, signal) => api.subscriptions({ page, limit, like_topic: search.settled || undefined }, { signal }),
    search.settled,
  );
  const columns: Column<Subscription>[] = [
    { name: "topic", title: t("routes.filter"), cell: (row) => <span class="mono cut" title={row.topic}>{row.topic}</span> },
    { name: "id", title: t("clients.id"), cell: (row) => <span class="mono cut" title={row.clientid}>{row.clientid}</span> },
    { name: "qos", title: "QoS", end: true, cell: (row) => row.qos ?? "–" },
    { name: "flags", title: t("subscriptions.options"), cell: (row) => <span class="cut">{flags(row)}</span> },
    { name: "node", title: t("node"), cell: (row) => <span class="cut">{row.node ?? "–"}</span> },
  ];
  return (
    <ListPage
      title={t("menu.subscriptions")}
      class="subscriptions"
      search={search}
      searchLabel={t("subscriptions.search")}
      none={t("subscriptions.none")}
      rows={rows}
      columns={columns}
      rowKey={(row) => `${row.clientid}\n${row.topic}`}
      phoneRowHeight={88}
    />
  );
}
