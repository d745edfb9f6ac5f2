/** Every call of the dashboard, by name. Link names are percent-encoded (LINK-SPEC 4). */
import { call } from "./client";
import type {
  Alarm,
  Client,
  ClusterInfo,
  Explain,
  Link,
  LinkEvent,
  LinkRoutes,
  LoginAnswer,
  MetricsReport,
  NodeInfo,
  NodeNumbers,
  Page,
  Route,
  Subscription,
  TestReport,
} from "./types";

const link = (name: string) => `/cluster/links/link/${encodeURIComponent(name)}`;

export interface PageQuery {
  limit: number;
  cursor?: string | undefined;
  [filter: string]: string | number | undefined;
}

type Call = { signal?: AbortSignal };

export const api = {
  login: (username: string, password: string) =>
    call<LoginAnswer>("/login", { method: "POST", body: { username, password }, anonymous: true }),
  logout: (username: string) => call<void>("/logout", { method: "POST", body: { username } }),

  cluster: (o: Call = {}) => call<ClusterInfo>("/cluster", o),
  nodes: (o: Call = {}) => call<NodeInfo[]>("/nodes", o),
  stats: (o: Call = {}) => call<NodeNumbers[]>("/stats", o),
  metrics: (o: Call = {}) => call<NodeNumbers[]>("/metrics", o),
  alarms: (o: Call = {}) => call<Alarm[]>("/alarms", { ...o, query: { activated: true } }),

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
  linkEvents: (name: string, o: Call = {}) => call<LinkEvent[]>(`${link(name)}/events`, o),
  linkRoutes: (name: string, query: { page: number; limit: number; filter?: string | undefined }, o: Call = {}) =>
    call<LinkRoutes>(`${link(name)}/routes`, { ...o, query }),
  testLink: (body: unknown, o: Call = {}) =>
    call<TestReport>("/cluster/links/test", { ...o, method: "POST", body }),
  explain: (topic: string, o: Call = {}) => call<Explain>("/cluster/links/explain", { ...o, query: { topic } }),

  clients: (query: PageQuery, o: Call = {}) => call<Page<Client>>("/clients", { ...o, query }),
  kickClient: (id: string) => call<void>(`/clients/${encodeURIComponent(id)}`, { method: "DELETE" }),
  subscriptions: (query: PageQuery, o: Call = {}) => call<Page<Subscription>>("/subscriptions", { ...o, query }),
  routes: (query: PageQuery, o: Call = {}) => call<Page<Route>>("/routes", { ...o, query }),
};
