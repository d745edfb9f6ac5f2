/** Paths of the dashboard (LINK-SPEC U-1), and moving between them without a reload. */
import { signal } from "@preact/signals";

export type Page =
  | { page: "overview" }
  | { page: "links" }
  | { page: "link-create" }
  | { page: "link"; name: string; tab: "overview" | "settings" }
  | { page: "topic-tester"; topic: string }
  | { page: "clients" }
  | { page: "subscriptions" }
  | { page: "routes" }
  | { page: "unknown" };

export function parse(path: string, search: string): Page {
  const parts = path.split("/").filter(Boolean);
  const query = new URLSearchParams(search);
  const [first, second, ...rest] = parts;
  if (first === undefined) return { page: "overview" };
  if (rest.length > 0) return { page: "unknown" };
  if (first === "cluster-linking") {
    if (second === undefined) return { page: "links" };
    // A remote may be called "create"; its page is told apart by the query.
    if (second === "create" && !query.has("tab")) return { page: "link-create" };
    const name = decode(second);
    if (name === undefined) return { page: "unknown" };
    return { page: "link", name, tab: query.get("tab") === "settings" ? "settings" : "overview" };
  }
  if (second !== undefined) return { page: "unknown" };
  switch (first) {
    case "topic-tester":
      return { page: "topic-tester", topic: query.get("topic") ?? "" };
    case "clients":
    case "subscriptions":
    case "routes":
      return { page: first };
    default:
      return { page: "unknown" };
  }
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

export function linkHref(name: string, tab: "overview" | "settings" = "overview"): string {
  const query = tab === "settings" || name === "create" ? `?tab=${tab}` : "";
  return `/cluster-linking/${encodeURIComponent(name)}${query}`;
}

const here = (): Page =>
  typeof location === "undefined" ? { page: "overview" } : parse(location.pathname, location.search);

export const page = signal<Page>(here());

/** Asked before the page is left; a form with changes answers with a question. */
let guard: (() => boolean) | undefined;
export function guardLeaving(ask: (() => boolean) | undefined): void {
  guard = ask;
}

export function go(href: string, how: "push" | "replace" = "push"): void {
  if (guard && !guard()) return;
  guard = undefined;
  if (how === "push") history.pushState(null, "", href);
  else history.replaceState(null, "", href);
  page.value = here();
  window.scrollTo(0, 0);
}

export function startRouter(): void {
  addEventListener("popstate", () => {
    guard = undefined;
    page.value = here();
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const anchor = (event.target as Element | null)?.closest?.("a");
    const href = anchor?.getAttribute("href");
    if (!anchor || !href?.startsWith("/") || anchor.target || anchor.hasAttribute("download")) return;
    event.preventDefault();
    go(href);
  });
}
