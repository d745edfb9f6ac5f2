import { api } from "../api/endpoints";
import type { Route } from "../api/types";
import { t } from "../i18n";
import { usePages, type Column } from "../ui/virtual";
import { ListPage, useListSearch } from "./list-page";

const nodes = (row: Route) => row.nodes ?? (row.node ? [row.node] : []);

export function Routes() {
  const search = useListSearch();
  const rows = usePages(
    (page, limit, signal) => api.routes({ page, limit, topic: search.settled || undefined }, { signal }),
    search.settled,
  );
  const columns: Column<Route>[] = [
    { name: "topic", title: t("routes.filter"), cell: (row) => <span class="mono cut" title={row.topic}>{row.topic}</span> },
    { name: "node", title: t("routes.nodes"), cell: (row) => <span class="cut" title={nodes(row).join("\n")}>{nodes(row).join(", ") || "–"}</span> },
  ];
  return (
    <ListPage
      title={t("menu.routes")}
      class="two-columns"
      search={search}
      searchLabel={t("routes.search")}
      none={t("routes.none.local")}
      rows={rows}
      columns={columns}
      rowKey={(row) => `${row.group ?? ""}\n${row.topic}\n${row.node ?? ""}`}
      phoneRowHeight={58}
    />
  );
}
