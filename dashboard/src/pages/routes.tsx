import { api } from "../api/endpoints";
import type { Route } from "../api/types";
import { t } from "../i18n";
import { usePages, type Column } from "../ui/virtual";
import { ListPage, useListSearch } from "./list-page";

/** Nodes with plain subscribers, then each shared group with its own. */
export function whoWants(row: Route): string {
  const groups = (row.groups ?? []).map((group) => `$share/${group.group} (${group.nodes.map((one) => one.node).join(", ")})`);
  return [...row.nodes, ...groups].join(", ") || "–";
}

export function Routes() {
  const search = useListSearch();
  const rows = usePages(
    ({ limit, cursor }, signal) => api.routes({ limit, cursor, topic: search.settled || undefined }, { signal }),
    search.settled,
  );
  const columns: Column<Route>[] = [
    { name: "topic", title: t("routes.filter"), cell: (row) => <span class="mono cut" title={row.topic}>{row.topic}</span> },
    { name: "node", title: t("routes.nodes"), cell: (row) => <span class="cut" title={whoWants(row)}>{whoWants(row)}</span> },
  ];
  return (
    <ListPage
      title={t("menu.routes")}
      class="two-columns"
      search={search}
      searchLabel={t("routes.search.exact")}
      none={t("routes.none.local")}
      rows={rows}
      columns={columns}
      rowKey={(row) => row.topic}
      phoneRowHeight={58}
    />
  );
}
