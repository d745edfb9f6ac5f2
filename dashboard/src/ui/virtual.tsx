/**
 * A table that draws only the rows in sight, over data that the server gives in pages: 100,000
 * clients are one scroll bar and never more than some thousand rows in memory.
 */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Page } from "../api/types";
import { session } from "../state/session";
import { retryTick } from "../api/client";
import type { Children } from "./icons";

export interface Rows<T> {
  count: number;
  at: (index: number) => T | undefined;
  /** Called with the range in sight. */
  see: (from: number, to: number) => void;
}

export const PAGE_ROWS = 200;
/** Pages kept: what was scrolled past is read again when it comes back. */
const PAGES_MAX = 20;
/** Empty rows at the end while more is to come. */
const MORE_ROWS = 12;

export interface Paged<T> extends Rows<T> {
  /** Rows known to be there, and whether there are more. */
  known: number;
  more: boolean;
  error: unknown;
  loading: boolean;
  refresh: () => void;
  /** Nodes that did not answer. */
  missing: string[];
}

interface Book<T> {
  pages: Map<number, T[]>;
  /** Where each page begins; the first begins without a cursor. */
  cursors: Map<number, string | undefined>;
  known: number;
  more: boolean;
  asked: Set<number>;
  missing: string[];
  error: unknown;
}

function blank<T>(): Book<T> {
  return { pages: new Map(), cursors: new Map([[0, undefined]]), known: 0, more: false, asked: new Set(), missing: [], error: undefined };
}

/** What a reader is asked for: a cursor, or for those without cursors the page's number from 1. */
export interface Wanted {
  page: number;
  cursor: string | undefined;
  limit: number;
}

export function usePages<T>(read: (wanted: Wanted, signal: AbortSignal) => Promise<Page<T>>, key: string): Paged<T> {
  const book = useRef<Book<T>>(blank());
  const [, draw] = useState(0);
  const stop = useRef<AbortController>(new AbortController());
  const reader = useRef(read);
  reader.current = read;
  const token = session.value?.token;
  const tick = retryTick.value;

  const load = useCallback(async (number: number) => {
    const into = book.current;
    if (into.asked.has(number) || !into.cursors.has(number)) return;
    into.asked.add(number);
    const signal = stop.current.signal;
    try {
      const wanted = { page: number + 1, cursor: into.cursors.get(number), limit: PAGE_ROWS };
      const page = await reader.current(wanted, signal);
      if (signal.aborted) return;
      into.pages.set(number, page.data);
      const seen = number * PAGE_ROWS + page.data.length;
      const last = !page.meta.hasnext || page.data.length < PAGE_ROWS;
      if (!last) into.cursors.set(number + 1, page.meta.cursor);
      if (seen >= into.known || last) {
        into.known = seen;
        into.more = !last;
      }
      into.missing = page.meta.unreachable ?? [];
      into.error = undefined;
      for (const old of [...into.pages.keys()]) {
        if (into.pages.size <= PAGES_MAX) break;
        if (Math.abs(old - number) > 3) {
          into.pages.delete(old);
          into.asked.delete(old);
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      into.asked.delete(number);
      into.error = error;
    }
    draw((n) => n + 1);
  }, []);

  const restart = useCallback(() => {
    stop.current.abort();
    stop.current = new AbortController();
    book.current = blank();
    draw((n) => n + 1);
    void load(0);
  }, [load]);

  useEffect(() => {
    if (token) restart();
    return () => stop.current.abort();
  }, [key, token, tick, restart]);

  const see = useCallback(
    (from: number, to: number) => {
      if (book.current.error) return;
      for (let page = Math.floor(from / PAGE_ROWS); page <= Math.floor(Math.max(to - 1, 0) / PAGE_ROWS); page += 1) {
        void load(page);
      }
    },
    [load],
  );

  const current = book.current;
  return {
    count: current.known + (current.more ? MORE_ROWS : 0),
    known: current.known,
    more: current.more,
    at: (index) => book.current.pages.get(Math.floor(index / PAGE_ROWS))?.[index % PAGE_ROWS],
    see,
    error: current.error,
    loading: current.pages.size === 0 && current.error === undefined,
    refresh: restart,
    missing: current.missing,
  };
}

/** Rows that are already here. */
export function listRows<T>(list: readonly T[]): Rows<T> {
  return { count: list.length, at: (index) => list[index], see: () => undefined };
}

export interface Column<T> {
  name: string;
  title: string;
  cell: (row: T) => Children;
  /** Class of head and cells; gives the width in CSS. */
  end?: boolean;
}

interface TableProps<T> {
  label: string;
  class: string;
  rows: Rows<T>;
  columns: readonly Column<T>[];
  rowKey: (row: T) => string;
  rowHeight: number;
  phoneRowHeight: number;
}

const PHONE = "(max-width: 720px)";

export function usePhone(): boolean {
  const [phone, setPhone] = useState(() => matchMedia(PHONE).matches);
  useEffect(() => {
    const media = matchMedia(PHONE);
    const follow = () => setPhone(media.matches);
    media.addEventListener("change", follow);
    return () => media.removeEventListener("change", follow);
  }, []);
  return phone;
}

export function VirtualTable<T>(props: TableProps<T>) {
  const { rows, columns } = props;
  const phone = usePhone();
  const height = phone ? props.phoneRowHeight : props.rowHeight;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight || 600 });
    const watch = new ResizeObserver(measure);
    watch.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      watch.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  const from = Math.max(0, Math.floor(view.top / height) - 6);
  const to = Math.min(rows.count, Math.ceil((view.top + view.height) / height) + 6);
  useEffect(() => {
    if (rows.count > 0) rows.see(from, to);
  });
  const drawn = [];
  for (let index = from; index < to; index += 1) {
    const row = rows.at(index);
    drawn.push(
      <div
        role="row"
        class="vrow"
        key={row === undefined ? `#${index}` : props.rowKey(row)}
        aria-rowindex={index + 2}
        style={{ top: `${index * height}px`, height: `${height}px` }}
      >
        {columns.map((column) => (
          <div role="cell" key={column.name} class={`c-${column.name}${column.end ? " end" : ""}`} data-title={column.title}>
            {row === undefined ? <span class="ghost" /> : column.cell(row)}
          </div>
        ))}
      </div>,
    );
  }
  return (
    <div class={`vtable ${props.class}`} role="table" aria-label={props.label} aria-rowcount={rows.count + 1} ref={box} tabIndex={0}>
      <div role="rowgroup" class="vhead">
        <div role="row" aria-rowindex={1}>
          {columns.map((column) => (
            <div role="columnheader" key={column.name} class={`c-${column.name}${column.end ? " end" : ""}`}>
              {column.title}
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" class="vbody" style={{ height: `${rows.count * height}px` }}>
        {drawn}
      </div>
    </div>
  );
}
