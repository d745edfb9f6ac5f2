/**
 * The form of a link (U-3, U-4) as plain values, and its way to and from the JSON of R-4.
 * A PUT replaces the whole entry, so what the form does not show is carried over untouched.
 */
import type { Link } from "../api/types";
import type { Key } from "../i18n";
import type { Complaint } from "./refusal";
import {
  joinQuantity,
  parseDuration,
  parseSize,
  splitDuration,
  splitSize,
  type DurationUnit,
  type Quantity,
  type SizeUnit,
} from "./units";

export type Duration = Quantity<DurationUnit>;
export type Size = Quantity<SizeUnit>;
/** Unset = the system decides. */
export type Choice = "" | "true" | "false";

export interface LinkForm {
  name: string;
  enable: boolean;
  server: string;
  clientid: string;
  username: string;
  password: string;
  topics: string[];
  ssl: {
    enable: boolean;
    verify: boolean;
    sni: string;
    certfile: string;
    keyfile: string;
    cacertfile: string;
  };
  poolSize: string;
  retryInterval: Duration;
  maxInflight: string;
  startTimeout: Duration;
  bufferPoolSize: string;
  /** Nothing = infinity. */
  requestTtl: Duration | null;
  healthCheckInterval: Duration;
  maxBufferBytes: Size;
  inflightWindow: string;
  dispatchStrategy: string;
  bufferMode: string;
  overflow: string;
  tcp: { nodelay: Choice; keepalive: Choice; sndbuf: Size; recbuf: Size };
  inbound: { clientidPrefix: string; username: string; certCn: string };
}

/** What the server answers for a stored secret, and understands as "keep it". */
export const MASK = "******";

const NO_SIZE: Size = { number: "", unit: "KB" };

export function emptyForm(): LinkForm {
  return {
    name: "",
    enable: true,
    server: "",
    clientid: "",
    username: "",
    password: "",
    topics: [],
    ssl: { enable: false, verify: true, sni: "", certfile: "", keyfile: "", cacertfile: "" },
    poolSize: "8",
    retryInterval: { number: "15", unit: "s" },
    maxInflight: "32",
    startTimeout: { number: "5", unit: "s" },
    bufferPoolSize: "16",
    requestTtl: null,
    healthCheckInterval: { number: "15", unit: "s" },
    maxBufferBytes: { number: "1", unit: "GB" },
    inflightWindow: "100",
    dispatchStrategy: "per_clientid",
    bufferMode: "disk",
    overflow: "drop_oldest",
    tcp: { nodelay: "", keepalive: "", sndbuf: NO_SIZE, recbuf: NO_SIZE },
    inbound: { clientidPrefix: "", username: "", certCn: "" },
  };
}

const text = (value: unknown, otherwise = ""): string =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : otherwise;
const choice = (value: unknown): Choice =>
  value === true || value === "true" ? "true" : value === false || value === "false" ? "false" : "";

export function toForm(link: Link): LinkForm {
  const blank = emptyForm();
  const resource = link.resource_opts ?? {};
  const buffer = link.buffer ?? {};
  const tcp = link.tcp_opts ?? {};
  const inbound = link.inbound ?? {};
  const ssl = link.ssl ?? {};
  return {
    name: link.name,
    enable: link.enable,
    server: link.server,
    clientid: text(link.clientid),
    username: text(link.username),
    password: text(link.password),
    topics: [...link.topics],
    ssl: {
      enable: ssl.enable === true,
      // A link without TLS has no opinion; the safe one is offered when TLS is switched on.
      verify: ssl.enable === true ? ssl.verify !== "verify_none" : true,
      sni: text(ssl.server_name_indication),
      certfile: text(ssl.certfile),
      keyfile: text(ssl.keyfile),
      cacertfile: text(ssl.cacertfile),
    },
    poolSize: text(link.pool_size, blank.poolSize),
    retryInterval: splitDuration(link.retry_interval) ?? blank.retryInterval,
    maxInflight: text(link.max_inflight, blank.maxInflight),
    startTimeout: splitDuration(resource["start_timeout"]) ?? blank.startTimeout,
    bufferPoolSize: text(resource["worker_pool_size"], blank.bufferPoolSize),
    requestTtl: splitDuration(resource["request_ttl"] ?? buffer["max_age"]) ?? null,
    healthCheckInterval: splitDuration(resource["health_check_interval"]) ?? blank.healthCheckInterval,
    maxBufferBytes: splitSize(resource["max_buffer_bytes"] ?? buffer["disk_max_bytes"]) ?? blank.maxBufferBytes,
    inflightWindow: text(resource["inflight_window"], blank.inflightWindow),
    dispatchStrategy: text(resource["dispatch_strategy"], blank.dispatchStrategy),
    bufferMode: text(buffer["mode"], blank.bufferMode),
    overflow: text(buffer["overflow"], blank.overflow),
    tcp: {
      nodelay: choice(tcp["nodelay"]),
      keepalive: choice(tcp["keepalive"]),
      sndbuf: splitSize(tcp["sndbuf"]) ?? NO_SIZE,
      recbuf: splitSize(tcp["recbuf"]) ?? NO_SIZE,
    },
    inbound: {
      clientidPrefix: text(inbound["clientid_prefix"]),
      username: text(inbound["username"]),
      certCn: text(inbound["cert_cn"]),
    },
  };
}

type Json = Record<string, unknown>;
/** Fields that the server computes (R-2: it ignores them; we do not send them at all). */
const READ_ONLY = [
  "status",
  "node_status",
  "replication_status",
  "reason",
  "since",
  "warnings",
  "revision",
  "paused",
  "ps_actor_incarnation",
];

/** Sets a value, or takes the field away so that the default holds. */
function put(object: Json, name: string, value: unknown): void {
  if (value === undefined || value === "") delete object[name];
  else object[name] = value;
}

function section(object: Json, name: string): Json {
  const old = object[name];
  const copy: Json = typeof old === "object" && old !== null && !Array.isArray(old) ? { ...old } : {};
  object[name] = copy;
  return copy;
}

function dropIfEmpty(object: Json, name: string): void {
  const value = object[name];
  if (typeof value === "object" && value !== null && Object.keys(value).length === 0) delete object[name];
}

/** A number where it is one; else the text as typed, for the server to refuse. */
const number = (value: string): number | string => (/^\d+$/.test(value.trim()) ? Number(value.trim()) : value.trim());
const size = (value: Size): string | undefined => (value.number.trim() === "" ? undefined : joinQuantity(value));
const flag = (value: Choice): boolean | undefined => (value === "" ? undefined : value === "true");

/** The body for POST (no `stored`) or PUT (what was read before). */
export function toJson(form: LinkForm, stored?: Link): Json {
  const body: Json = stored ? { ...stored } : {};
  for (const name of READ_ONLY) delete body[name];
  if (stored) delete body["name"];
  else body["name"] = form.name.trim();
  body["enable"] = form.enable;
  body["server"] = form.server.trim();
  put(body, "clientid", form.clientid.trim());
  put(body, "username", form.username);
  put(body, "password", form.password);
  body["topics"] = form.topics.map((topic) => topic.trim());
  body["pool_size"] = number(form.poolSize);
  body["retry_interval"] = joinQuantity(form.retryInterval);
  body["max_inflight"] = number(form.maxInflight);
  putSsl(body, form, stored);
  const resource = section(body, "resource_opts");
  resource["start_timeout"] = joinQuantity(form.startTimeout);
  resource["worker_pool_size"] = number(form.bufferPoolSize);
  resource["health_check_interval"] = joinQuantity(form.healthCheckInterval);
  resource["inflight_window"] = number(form.inflightWindow);
  resource["dispatch_strategy"] = form.dispatchStrategy;
  // One thing under two names each; written to both, so that it does not matter which one wins.
  const buffer = section(body, "buffer");
  buffer["mode"] = form.bufferMode;
  buffer["overflow"] = form.overflow;
  const ttl = form.requestTtl ? joinQuantity(form.requestTtl) : "infinity";
  resource["request_ttl"] = buffer["max_age"] = ttl;
  resource["max_buffer_bytes"] = buffer["disk_max_bytes"] = joinQuantity(form.maxBufferBytes);
  const tcp = section(body, "tcp_opts");
  put(tcp, "nodelay", flag(form.tcp.nodelay));
  put(tcp, "keepalive", flag(form.tcp.keepalive));
  put(tcp, "sndbuf", size(form.tcp.sndbuf));
  put(tcp, "recbuf", size(form.tcp.recbuf));
  dropIfEmpty(body, "tcp_opts");
  const inbound = section(body, "inbound");
  put(inbound, "clientid_prefix", form.inbound.clientidPrefix.trim());
  put(inbound, "username", form.inbound.username.trim());
  put(inbound, "cert_cn", form.inbound.certCn.trim());
  dropIfEmpty(body, "inbound");
  return body;
}

function putSsl(body: Json, form: LinkForm, stored?: Link): void {
  if (!form.ssl.enable && !stored?.ssl) {
    body["ssl"] = { enable: false };
    return;
  }
  const ssl = section(body, "ssl");
  ssl["enable"] = form.ssl.enable;
  if (!form.ssl.enable) return;
  ssl["verify"] = form.ssl.verify ? "verify_peer" : "verify_none";
  put(ssl, "server_name_indication", form.ssl.sni.trim());
  put(ssl, "certfile", form.ssl.certfile.trim());
  put(ssl, "keyfile", form.ssl.keyfile.trim());
  put(ssl, "cacertfile", form.ssl.cacertfile.trim());
}

/** The whole body of the same link with another `enable`: what the switch sends. */
export function withEnable(link: Link, enable: boolean): Json {
  return toJson({ ...toForm(link), enable }, link);
}

const REQUIRED: [string, Key, (form: LinkForm) => string][] = [
  ["name", "form.name", (form) => form.name],
  ["server", "form.server", (form) => form.server],
  ["pool_size", "form.pool_size", (form) => form.poolSize],
  ["retry_interval", "form.retry_interval", (form) => form.retryInterval.number],
  ["max_inflight", "form.max_inflight", (form) => form.maxInflight],
  ["resource_opts.start_timeout", "form.start_timeout", (form) => form.startTimeout.number],
  ["resource_opts.worker_pool_size", "form.worker_pool_size", (form) => form.bufferPoolSize],
  ["resource_opts.request_ttl", "form.request_ttl", (form) => form.requestTtl?.number ?? "infinity"],
  ["resource_opts.health_check_interval", "form.health_check_interval", (form) => form.healthCheckInterval.number],
  ["resource_opts.max_buffer_bytes", "form.max_buffer_bytes", (form) => form.maxBufferBytes.number],
  ["resource_opts.inflight_window", "form.inflight_window", (form) => form.inflightWindow],
];

/**
 * U-5: what is required and what is there twice; everything else is the server's answer. A
 * parameter that begins with `@` is the key of a text.
 */
export function validate(form: LinkForm): Complaint[] {
  const found: Complaint[] = [];
  for (const [field, label, read] of REQUIRED) {
    if (read(form).trim() === "") found.push({ field, key: "form.required", params: { name: `@${label}` } });
  }
  const seen = new Set<string>();
  form.topics.forEach((topic, index) => {
    const filter = topic.trim();
    const field = `topics.${index}`;
    if (filter === "") found.push({ field, key: "form.required", params: { name: "@form.topic" } });
    else if (seen.has(filter)) found.push({ field, key: "form.topics.repeated", params: {} });
    seen.add(filter);
  });
  return found;
}

/** Puts complaints about a filter to the rows that hold it; the rest keeps its field. */
export function toRows(complaints: Complaint[], topics: string[]): Complaint[] {
  return complaints.flatMap((complaint) => {
    if (complaint.field !== "topics" || complaint.filter === undefined) return [complaint];
    const rows = topics.flatMap((topic, index) => (topic.trim() === complaint.filter ? [index] : []));
    // A repeated filter is complained about once, at its last row.
    const row = complaint.key === "refusal.topic.redundant" ? rows.slice(-1) : rows;
    return row.length === 0 ? [complaint] : row.map((index) => ({ ...complaint, field: `topics.${index}` }));
  });
}

const ADVANCED = /^(pool_size|retry_interval|max_inflight|resource_opts|buffer|tcp_opts|inbound)(\.|$)/;
/** A complaint in the collapsed part opens it. */
export const isAdvanced = (field: string): boolean => ADVANCED.test(field);

export function isChanged(form: LinkForm, stored: LinkForm): boolean {
  return JSON.stringify(normal(form)) !== JSON.stringify(normal(stored));
}

/** `60 s` and `1 m` are the same setting. */
function normal(form: LinkForm): unknown {
  return {
    ...form,
    retryInterval: parseDuration(joinQuantity(form.retryInterval)),
    startTimeout: parseDuration(joinQuantity(form.startTimeout)),
    requestTtl: form.requestTtl && parseDuration(joinQuantity(form.requestTtl)),
    healthCheckInterval: parseDuration(joinQuantity(form.healthCheckInterval)),
    maxBufferBytes: parseSize(joinQuantity(form.maxBufferBytes)),
  };
}
