/** Every call of the dashboard, by name. Link names are percent-encoded (LINK-SPEC 4). */
import { call } from "./client";
import type {
  Alarm,
  Client,
  ClusterInfo,
  Explain,
  Link,
  LinkEvent,
  LinkRoute,
  LoginAnswer,
  MetricsReport,
  NodeInfo,
  Page,
  Route,
  Subscription,
  TestReport,
} from "./types";

const link = (name: string) => `/cluster/links/link/${encodeURIComponent(name)}`;

/** Lists come as `{data, meta}` or as a plain array; both read the same. */
export function asPage<T>(answer: Page<T> | T[] | undefined): Page<T> {
  if (Array.isArray(answer)) {
    return { data: answer, meta: { page: 1, limit: answer.length, count: answer.length, hasnext: false } };
  }
  return { ...answer, data: answer?.data ?? [], meta: answer?.meta ?? { page: 1, limit: 0 } };
}

export interface PageQuery {
  page: number;
  limit: number;
  [filter: string]: string | number | undefined;
}

type Call = { signal?: AbortSignal };

export const api = {
  login: (username: string, password: string) =>
    call<LoginAnswer>("/login", { method: "POST", body: { username, password }, anonymous: true }),
  logout: (username: string) => call<void>("/logout", { method: "POST", body: { username } }),

  cluster: (o: Call = {}) => call<ClusterInfo>("/cluster", o),
  nodes: (o: Call = {}) => call<NodeInfo[]>("/nodes", o),
  alarms: async (o: Call = {}) => asPage(await call<Page<Alarm> | Alarm[]>("/alarms", { ...o, query: { activated: true, limit: 100 } })),

  // The words of EMQX tell pool and replication apart; the words of the guide follow from them
  // (model/status.ts), not the other way round.
  links: (o: Call = {}) => call<Link[]>("/cluster/links", { ...o, query: { style: "emqx" } }),
  link: (name: string, o: Call = {}) => call<Link>(link(name), o),
  createLink: (body: unknown) => call<Link>("/cluster/links", { method: "POST", body, query: { style: "emqx" } }),
  updateLink: (name: string, body: unknown, revision?: number) =>
    call<Link>(link(name), {
      method: "PUT",
      body,
      ...(revision === undefined ? {} : { headers: { "if-match": `"${revision}"` } }),
    }),
  deleteLink: (name: string) => call<void>(link(name), { method: "DELETE" }),
  pauseLink: (name: string, paused: boolean) =>
    call<Link>(`${link(name)}/${paused ? "pause" : "resume"}`, { method: "POST" }),
  linkMetrics: (name: string, o: Call = {}) => call<MetricsReport>(`${link(name)}/metrics`, o),
  resetLinkMetrics: (name: string) => call<void>(`${link(name)}/metrics/reset`, { method: "PUT" }),
  linkEvents: async (name: string, o: Call = {}) =>
    asPage(await call<Page<LinkEvent> | LinkEvent[]>(`${link(name)}/events`, o)),
  linkRoutes: async (name: string, query: PageQuery, o: Call = {}) =>
    asPage(await call<Page<LinkRoute> | LinkRoute[]>(`${link(name)}/routes`, { ...o, query })),
  testLink: (body: unknown, o: Call = {}) =>
    call<TestReport>("/cluster/links/test", { ...o, method: "POST", body }),
  explain: (topic: string, o: Call = {}) => call<Explain>("/cluster/links/explain", { ...o, query: { topic } }),

  clients: async (query: PageQuery, o: Call = {}) =>
    asPage(await call<Page<Client> | Client[]>("/clients", { ...o, query })),
  kickClient: (id: string) => call<void>(`/clients/${encodeURIComponent(id)}`, { method: "DELETE" }),
  subscriptions: async (query: PageQuery, o: Call = {}) =>
    asPage(await call<Page<Subscription> | Subscription[]>("/subscriptions", { ...o, query })),
  routes: async (query: PageQuery, o: Call = {}) =>
    asPage(await call<Page<Route> | Route[]>("/routes", { ...o, query })),
};
