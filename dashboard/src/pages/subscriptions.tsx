import { useState } from "preact/hooks";
import { api } from "../api/endpoints";
import type { Subscription } from "../api/types";
import { t, type Key } from "../i18n";
import { usePages, type Column } from "../ui/virtual";
import { ListPage, useListSearch } from "./list-page";

/** What the server can search for. */
const BY: { by: string; text: Key }[] = [
  { by: "match_topic", text: "subscriptions.by.match" },
  { by: "topic", text: "subscriptions.by.filter" },
  { by: "clientid", text: "clients.id" },
];

const flags = (row: Subscription) =>
  [row.nl ? "No Local" : "", row.rap ? "Retain As Published" : "", row.subid === undefined ? "" : `ID ${row.subid}`]
    .filter(Boolean)
    .join(", ") || "–";

export function Subscriptions() {
  const search = useListSearch();
  const [by, setBy] = useState("match_topic");
  const rows = usePages(
    ({ limit, cursor }, signal) => api.subscriptions({ limit, cursor, [by]: search.settled || undefined }, { signal }),
    `${by}\n${search.settled}`,
  );
  const columns: Column<Subscription>[] = [
    { name: "topic", title: t("routes.filter"), cell: (row) => <span class="mono cut" title={row.topic}>{row.topic}</span> },
    { name: "id", title: t("clients.id"), cell: (row) => <span class="mono cut" title={row.clientid}>{row.clientid}</span> },
    { name: "qos", title: "QoS", end: true, cell: (row) => row.qos ?? "–" },
    { name: "flags", title: t("subscriptions.options"), cell: (row) => <span class="cut">{flags(row)}</span> },
    { name: "node", title: t("node"), cell: (row) => <span class="cut">{row.node ?? "–"}</span> },
  ];
  const chosen = BY.find((one) => one.by === by);
  return (
    <ListPage
      title={t("menu.subscriptions")}
      class="subscriptions"
      search={search}
      searchLabel={chosen ? t(chosen.text) : ""}
      searchBy={
        <select class="input compact" aria-label={t("search.by")} value={by} onChange={(event) => setBy(event.currentTarget.value)}>
          {BY.map((one) => (
            <option key={one.by} value={one.by}>
              {t(one.text)}
            </option>
          ))}
        </select>
      }
      none={t("subscriptions.none")}
      rows={rows}
      columns={columns}
      rowKey={(row) => `${row.clientid}\n${row.topic}`}
      phoneRowHeight={88}
    />
  );
}
