/** The list of links (U-2): what each is, how it goes, and the switch. */
import { useState } from "preact/hooks";
import { api } from "../api/endpoints";
import type { Link } from "../api/types";
import { t, word } from "../i18n";
import { tell } from "../i18n/reasons";
import { linkWord, nodeWord, toneOf } from "../model/status";
import { showCount } from "../model/units";
import { linkHref, go } from "../router";
import { usePoll } from "../state/poll";
import { mayWrite } from "../state/session";
import { Empty, Failure, PageHead } from "../ui/blocks";
import { Button, Spinner, Switch, Tag } from "../ui/controls";
import { listRows, VirtualTable, type Column } from "../ui/virtual";
import { Search } from "../ui/search";
import { removeLink, switchLink } from "./link/actions";

/** Route counts are asked link by link, so only for those that a person can look through. */
const ROUTES_MAX = 40;

export function LinkList() {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState("");
  const polled = usePoll((signal) => api.links({ signal }), 5000, ["links"], ["links"]);
  const all = polled.value ?? [];
  const wanted = text.trim().toLowerCase();
  const shown = wanted
    ? all.filter((link) => [link.name, link.server, ...link.topics].some((part) => part.toLowerCase().includes(wanted)))
    : all;
  const names = shown.slice(0, ROUTES_MAX).map((link) => link.name);
  const routes = usePoll(
    async (signal) => {
      const found = await Promise.all(
        names.map((name) => api.linkMetrics(name, { signal }).then((report) => report.metrics.router.routes).catch(() => undefined)),
      );
      return new Map(names.map((name, index) => [name, found[index]]));
    },
    15_000,
    ["routes", ...names],
  );

  const act = async (link: Link, action: () => Promise<boolean>) => {
    setBusy(link.name);
    if (await action()) polled.refresh();
    setBusy("");
  };

  const columns: Column<Link>[] = [
    { name: "name", title: t("links.name"), cell: (link) => <a href={linkHref(link.name)}>{link.name}</a> },
    { name: "server", title: t("form.server"), cell: (link) => <span class="mono cut" title={link.server}>{link.server}</span> },
    { name: "topics", title: t("form.topics"), cell: (link) => <Topics topics={link.topics} /> },
    { name: "status", title: t("status"), cell: (link) => <Status link={link} /> },
    { name: "routes", title: t("links.routes"), end: true, cell: (link) => count(routes.value?.get(link.name)) },
    {
      name: "enable",
      title: t("links.enable"),
      cell: (link) => (
        <Switch
          on={link.enable}
          label={t("links.enable.of", { name: link.name })}
          writes
          busy={busy === link.name}
          onChange={(on) => void act(link, () => switchLink(link, on))}
        />
      ),
    },
    {
      name: "actions",
      title: t("links.actions"),
      cell: (link) => (
        <>
          <Button small kind="quiet" label={t("links.settings.of", { name: link.name })} onClick={() => go(linkHref(link.name, "settings"))}>
            {t("links.settings")}
          </Button>
          <Button small kind="quiet" writes label={t("links.delete.of", { name: link.name })} onClick={() => void act(link, () => removeLink(link.name))}>
            {t("delete")}
          </Button>
        </>
      ),
    },
  ];

  return (
    <>
      <PageHead title={t("menu.links")} lead={t("links.lead")}>
        <Button kind="primary" icon="plus" writes onClick={() => go("/cluster-linking/create")}>
          {t("links.create")}
        </Button>
      </PageHead>
      <Failure error={polled.error} retry={polled.refresh} />
      {polled.loading && !polled.value ? <Spinner /> : null}
      {polled.value && all.length === 0 ? (
        <Empty title={t("links.empty")}>
          <p>{t("links.empty.both")}</p>
          <Button kind="primary" icon="plus" writes onClick={() => go("/cluster-linking/create")}>
            {t("links.create")}
          </Button>
        </Empty>
      ) : null}
      {all.length > 0 ? (
        <>
          {all.length > 5 || text ? (
            <div class="tools">
              <Search value={text} onInput={setText} label={t("links.search")} />
              <span class="soft">{t("count.of", { shown: shown.length, all: all.length })}</span>
            </div>
          ) : null}
          <VirtualTable
            label={t("menu.links")}
            class="links"
            rows={listRows(shown)}
            columns={columns}
            rowKey={(link) => link.name}
            rowHeight={54}
            phoneRowHeight={172}
          />
        </>
      ) : null}
      {mayWrite.value ? null : <p class="soft">{t("denied")}</p>}
    </>
  );
}

const count = (value: number | undefined) =>
  value === undefined ? "–" : <span title={String(value)}>{showCount(value)}</span>;

function Topics({ topics }: { topics: string[] }) {
  if (topics.length === 0) return <span class="soft">{t("state.send_only")}</span>;
  return (
    <span class="chips" title={topics.join("\n")}>
      {topics.slice(0, 2).map((topic) => (
        <span class="chip" key={topic}>
          {topic}
        </span>
      ))}
      {topics.length > 2 ? <span class="chip more">+{topics.length - 2}</span> : null}
    </span>
  );
}

function Status({ link }: { link: Link }) {
  const state = linkWord(link);
  const nodes = (link.node_status ?? []).map((node) => {
    const why = node.reason ? ` – ${tell(node.reason, link).sentence}` : "";
    return `${node.node}: ${word("state", nodeWord(node, link.enable))}${why}`;
  });
  const answered = (link.node_status ?? []).filter((node) => node.reason?.code !== "node_unreachable").length;
  const partial = answered < (link.node_status ?? []).length;
  const why = link.enable && state !== "running" && link.reason ? tell(link.reason, link).sentence : "";
  const reason = partial ? t("partial.nodes", { answered, all: (link.node_status ?? []).length }) : why;
  return (
    <span class="stack">
      <Tag tone={toneOf(state)} tip={nodes.join("\n")}>
        {word("state", state)}
        {link.paused && link.enable ? ` · ${t("state.paused")}` : ""}
      </Tag>
      {reason ? (
        <span class="soft cut" title={reason}>
          {reason}
        </span>
      ) : null}
    </span>
  );
}
