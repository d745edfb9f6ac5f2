/** What clients, subscriptions and routes have in common: search, count, a long table. */
import { useState } from "preact/hooks";
import { t } from "../i18n";
import type { Children } from "../ui/icons";
import { Empty, Failure, Notice, PageHead } from "../ui/blocks";
import { Button, Spinner } from "../ui/controls";
import { Search, useSettled } from "../ui/search";
import { VirtualTable, type Column, type Paged } from "../ui/virtual";

export interface ListSearch {
  text: string;
  settled: string;
  setText: (text: string) => void;
}

export function useListSearch(): ListSearch {
  const [text, setText] = useState("");
  return { text, settled: useSettled(text.trim()), setText };
}

export function ListPage<T>(props: {
  title: string;
  class: string;
  search: ListSearch;
  searchLabel: string;
  /** What is searched for, where there is a choice. */
  searchBy?: Children;
  none: string;
  rows: Paged<T>;
  columns: readonly Column<T>[];
  rowKey: (row: T) => string;
  phoneRowHeight: number;
}) {
  const { rows, search } = props;
  return (
    <>
      <PageHead title={props.title}>
        <Button icon="refresh" onClick={rows.refresh}>
          {t("stats.refresh")}
        </Button>
      </PageHead>
      <div class="tools">
        {props.searchBy}
        <Search value={search.text} onInput={search.setText} label={props.searchLabel} />
        <span class="soft" role="status">
          {rows.loading ? "" : t(rows.more ? "count.more" : "count", { count: rows.known })}
        </span>
      </div>
      <Failure error={rows.error} retry={rows.refresh} />
      {rows.missing.length > 0 ? (
        <Notice tone="warn">
          <p>{t("partial.missing", { nodes: rows.missing.join(", ") })}</p>
        </Notice>
      ) : null}
      {rows.loading ? <Spinner /> : null}
      {!rows.loading && !rows.error && rows.count === 0 ? <Empty title={props.none} /> : null}
      {rows.count > 0 ? (
        <VirtualTable
          label={props.title}
          class={`tall ${props.class}`}
          rows={rows}
          columns={props.columns}
          rowKey={props.rowKey}
          rowHeight={42}
          phoneRowHeight={props.phoneRowHeight}
        />
      ) : null}
    </>
  );
}
