import { useState } from "preact/hooks";
import { api } from "../api/endpoints";
import type { Client } from "../api/types";
import { t } from "../i18n";
import { toast } from "../state/toasts";
import { When } from "../ui/blocks";
import { Button, Tag } from "../ui/controls";
import { confirm } from "../ui/dialog";
import { sayError } from "../ui/say";
import { usePages, type Column } from "../ui/virtual";
import { ListPage, useListSearch } from "./list-page";

const VERSIONS: Record<number, string> = { 3: "3.1", 4: "3.1.1", 5: "5.0" };

export function Clients() {
  const search = useListSearch();
  const [busy, setBusy] = useState("");
  const rows = usePages(
    ({ limit, cursor }, signal) => api.clients({ limit, cursor, like_clientid: search.settled || undefined }, { signal }),
    search.settled,
  );
  const kick = async (client: Client) => {
    if (!(await confirm(t("kick.title"), t("kick.text", { id: client.clientid }), t("kick"), true))) return;
    setBusy(client.clientid);
    try {
      await api.kickClient(client.clientid);
      toast("good", t("toast.kicked"));
      rows.refresh();
    } catch (error) {
      toast("bad", sayError(error));
    }
    setBusy("");
  };
  const columns: Column<Client>[] = [
    { name: "id", title: t("clients.id"), cell: (row) => <span class="mono cut" title={row.clientid}>{row.clientid}</span> },
    { name: "user", title: t("form.username"), cell: (row) => <span class="cut">{row.username ?? "–"}</span> },
    {
      name: "status",
      title: t("status"),
      cell: (row) => <Tag tone={row.connected === false ? "off" : "good"}>{t(row.connected === false ? "clients.offline" : "clients.online")}</Tag>,
    },
    { name: "node", title: t("node"), cell: (row) => <span class="cut">{row.node ?? "–"}</span> },
    {
      name: "peer",
      title: t("clients.address"),
      cell: (row) => <span class="mono cut">{row.ip_address ? `${row.ip_address}:${row.port ?? ""}` : "–"}</span>,
    },
    { name: "proto", title: t("clients.version"), cell: (row) => (row.proto_ver === undefined ? "–" : (VERSIONS[row.proto_ver] ?? row.proto_ver)) },
    { name: "subs", title: t("clients.subscriptions"), end: true, cell: (row) => row.subscriptions_cnt ?? "–" },
    { name: "since", title: t("clients.since"), cell: (row) => <When at={row.connected_at} /> },
    {
      name: "actions",
      title: t("links.actions"),
      cell: (row) => (
        <Button small kind="quiet" writes busy={busy === row.clientid} label={t("kick.of", { id: row.clientid })} onClick={() => void kick(row)}>
          {t("kick")}
        </Button>
      ),
    },
  ];
  return (
    <ListPage
      title={t("menu.clients")}
      class="clients"
      search={search}
      searchLabel={t("clients.search")}
      none={t("clients.none")}
      rows={rows}
      columns={columns}
      rowKey={(row) => `${row.clientid}@${row.node}`}
      phoneRowHeight={112}
    />
  );
}
