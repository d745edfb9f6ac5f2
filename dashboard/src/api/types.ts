/**
 * Bodies of the REST API as the dashboard reads them (LINK-SPEC 4).
 * Fields that not every server version sends are optional: a missing one is shown as "–".
 */

export interface Reason {
  code: string;
  message: string;
  advice?: string;
}

export type PoolWord = "connected" | "connecting" | "disconnected" | "inconsistent";
export type ReplicationWord =
  | "online"
  | "connecting"
  | "handshaking"
  | "bootstrapping"
  | "rejected"
  | "disconnected"
  | "disabled"
  | "inconsistent";

export interface NodeStatus {
  node: string;
  /** Words of `?style=emqx`: the state of the forwarding pool only. */
  status: string;
  replication_status?: string;
  reason?: Reason;
  since?: string;
}

export interface SslJson {
  enable?: boolean;
  verify?: string;
  server_name_indication?: string;
  certfile?: string;
  keyfile?: string;
  cacertfile?: string;
  [other: string]: unknown;
}

/** the configuration, and the status of R-5 beside it. */
export interface Link {
  name: string;
  enable: boolean;
  server: string;
  clientid?: string;
  username?: string;
  password?: string;
  topics: string[];
  ssl?: SslJson;
  pool_size?: number;
  retry_interval?: string | number;
  max_inflight?: number;
  tcp_opts?: Record<string, unknown>;
  resource_opts?: Record<string, unknown>;
  buffer?: Record<string, unknown>;
  inbound?: Record<string, unknown>;
  paused?: boolean;
  revision?: number;
  status?: string;
  replication_status?: string;
  reason?: Reason;
  since?: string;
  node_status?: NodeStatus[];
  warnings?: { code: string; message: string; advice?: string }[];
  [other: string]: unknown;
}

export interface Forwarding {
  matched: number;
  success: number;
  failed: number;
  dropped: number;
  retried: number;
  queuing: number;
  inflight: number;
  rate: number;
  rate_last5m: number;
  rate_max: number;
  dropped_expired?: number;
  dropped_queue_full?: number;
  dropped_other?: number;
  late_reply?: number;
  bytes?: number;
  /** Append to acknowledgement, in microseconds. */
  latency_us?: { p50: number; p95: number; p99: number; count?: number };
}

export interface Inbound {
  received: number;
  delivered: number;
  filtered: number;
  rejected: number;
  duplicates: number;
  bytes: number;
}

export interface LinkMetrics {
  router: { routes: number };
  forwarding: Forwarding;
  replication?: {
    sent_adds: number;
    sent_deletes: number;
    batches: number;
    bootstraps: number;
    last_bootstrap_ms: number;
    pending: number;
  };
  inbound?: Inbound;
  buffer?: { messages: number; bytes: number; disk_bytes: number; oldest_at_ms?: number };
}

export interface MetricsReport {
  metrics: LinkMetrics;
  node_metrics: { node: string; metrics: LinkMetrics; reason?: Reason }[];
}

export interface LinkEvent {
  node?: string;
  at: string;
  part: string;
  who: string;
  state: string;
  reason?: string | null;
  message?: string | null;
}

export interface LearntRoute {
  topic: string;
  id: string;
  /** Who at the remote wants it. */
  actors: string[];
  stale: boolean;
}

export interface SentRoute {
  /** What the remote is told. */
  topic: string;
  /** The subscription here that it comes from. */
  subscription: string;
  nodes: string[];
}

/** Both lists have the same page and limit. */
export interface LinkRoutes {
  learnt: LearntRoute[];
  sent: SentRoute[];
  held_since?: string;
  meta: { page: number; limit: number; learnt_count: number; hasnext: boolean };
}

/** POST /cluster/links/test. */
export interface TestReport {
  ok: boolean;
  /** The last step that was tried. */
  reached?: string;
  steps: { step: string; ok: boolean; took_ms?: number }[];
  connack?: Record<string, unknown>;
  /** Machine word; `message` has sentence, detail and advice. */
  reason?: string;
  message?: string;
  warnings?: { code: string; message: string }[];
}

/** GET /cluster/links/explain?topic=T. */
export interface Explain {
  topic: string;
  /** Filters with subscribers in this cluster. */
  local: string[];
  links: { name: string; forwarded: boolean; matching: string[]; wanted: string[]; because: string }[];
}

/** GET /stats and /metrics: one row per node. */
export interface NodeNumbers {
  node?: string;
  reachable: boolean;
  [name: string]: number | string | boolean | undefined;
}

export interface ClusterInfo {
  name: string;
  self: string;
  nodes: string[];
  leader?: string | null;
  term?: number;
  applied?: number;
  quorum?: boolean;
  failures_tolerated?: number;
}

export interface NodeInfo {
  node: string;
  id?: number;
  node_status: string;
  role?: string;
  term?: number;
  applied?: number;
  lag?: number;
  connections?: number;
  /** Bytes, or text as EMQX writes it. */
  memory_used?: number | string;
  memory_total?: number | string;
  /** Milliseconds. */
  uptime?: number;
  version?: string;
  cluster_addr?: string;
  api_addr?: string;
  reason?: Reason;
}

export interface Alarm {
  name: string;
  node?: string;
  message?: string;
  details?: Record<string, unknown>;
  duration?: number;
  activate_at?: string;
  deactivate_at?: string;
}

export interface Client {
  clientid: string;
  username?: string | null;
  node?: string;
  connected?: boolean;
  ip_address?: string;
  port?: number;
  proto_ver?: number;
  keepalive?: number;
  connected_at?: string;
  subscriptions_cnt?: number;
  clean_start?: boolean;
  expiry_interval?: number;
}

export interface Subscription {
  clientid: string;
  topic: string;
  qos?: number;
  node?: string;
  nl?: number;
  rap?: number;
  subid?: number;
}

export interface Route {
  topic: string;
  nodes: string[];
  /** Shared subscriptions of this filter. */
  groups?: { group: string; nodes: { node: string; members: number }[] }[];
}

/** A page ends with a cursor, to be handed back for the next one. */
export interface Page<T> {
  data: T[];
  meta: {
    limit: number;
    hasnext: boolean;
    cursor?: string;
    /** Nodes that did not answer; the page is partial then. */
    unreachable?: string[];
  };
}

export interface LoginAnswer {
  token: string;
  role?: string;
  version?: string;
}
