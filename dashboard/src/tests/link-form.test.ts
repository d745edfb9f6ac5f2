import { expect, test } from "vitest";
import type { Link } from "../api/types";
import { emptyForm, isAdvanced, isChanged, MASK, toForm, toJson, toRows, validate, withEnable } from "../model/link-form";
import { counterpart, pasteOf } from "../model/counterpart";

const stored: Link = {
  name: "eu-west",
  enable: true,
  server: "mqtt.eu.example:8883",
  clientid: "clink-us-east-",
  username: "clink",
  password: MASK,
  topics: ["global/#", "cluster/+/status"],
  ssl: { enable: true, verify: "verify_peer", cacertfile: "certs/ca.pem", depth: 7, versions: ["tlsv1.3"] },
  pool_size: 4,
  retry_interval: "15s",
  max_inflight: 32,
  resource_opts: {
    worker_pool_size: 16,
    dispatch_strategy: "random",
    health_check_interval: "15s",
    health_check_timeout: "60s",
    start_timeout: "5s",
    request_ttl: "infinity",
    inflight_window: 100,
    max_buffer_bytes: "1GB",
  },
  buffer: { mode: "disk", disk_max_bytes: "1GB", memory_max_bytes: "64MB", max_age: "infinity", overflow: "drop_oldest" },
  share_client_address: true,
  ps_actor_incarnation: 3,
  revision: 9,
  paused: false,
  status: "connected",
  replication_status: "online",
  node_status: [],
  since: "2026-01-01T00:00:00Z",
  warnings: [],
};

test("an unchanged form writes back what was read, without what the server computes", () => {
  const { name, ps_actor_incarnation, revision, paused, status, replication_status, node_status, since, warnings, ...config } = stored;
  expect(toJson(toForm(stored), stored)).toEqual(config);
});

test("what the form does not show is carried over", () => {
  const body = toJson({ ...toForm(stored), server: "other:1883" }, stored);
  expect(body["share_client_address"]).toBe(true);
  expect(body["ssl"]).toMatchObject({ depth: 7, versions: ["tlsv1.3"] });
  expect(body["resource_opts"]).toMatchObject({ health_check_timeout: "60s" });
  expect(body["buffer"]).toMatchObject({ memory_max_bytes: "64MB" });
});

test("a new link carries its name and no empty secrets or options", () => {
  const body = toJson({ ...emptyForm(), name: " eu ", server: "h:1883", topics: [" a/# "] });
  expect(body["name"]).toBe("eu");
  expect(body["topics"]).toEqual(["a/#"]);
  expect(body["ssl"]).toEqual({ enable: false });
  for (const field of ["password", "username", "clientid", "tcp_opts", "inbound"]) expect(body).not.toHaveProperty(field);
});

test("an emptied field is taken away, so that its default holds", () => {
  const body = toJson({ ...toForm(stored), username: "", password: "", clientid: "" }, stored);
  for (const field of ["username", "password", "clientid"]) expect(body).not.toHaveProperty(field);
});

test("TTL and buffer size go to both of their names", () => {
  const form = { ...toForm(stored), requestTtl: { number: "45", unit: "s" as const }, maxBufferBytes: { number: "256", unit: "MB" as const } };
  const body = toJson(form, stored);
  expect(body["resource_opts"]).toMatchObject({ request_ttl: "45s", max_buffer_bytes: "256MB" });
  expect(body["buffer"]).toMatchObject({ max_age: "45s", disk_max_bytes: "256MB" });
});

test("TLS is verified unless somebody switched that off", () => {
  expect(toForm({ ...stored, ssl: { enable: false, verify: "verify_none" } }).ssl.verify).toBe(true);
  expect(toForm({ ...stored, ssl: { enable: true, verify: "verify_none" } }).ssl.verify).toBe(false);
  const body = toJson({ ...emptyForm(), ssl: { ...emptyForm().ssl, enable: true, sni: "eu.example" } });
  expect(body["ssl"]).toEqual({ enable: true, verify: "verify_peer", server_name_indication: "eu.example" });
});

test("the switch changes enable and nothing else", () => {
  expect(withEnable(stored, false)).toEqual({ ...toJson(toForm(stored), stored), enable: false });
});

test("a number that is none is left for the server to refuse", () => {
  expect(toJson({ ...emptyForm(), poolSize: "many" })["pool_size"]).toBe("many");
});

test("required fields and repeated topics are found before the server is asked", () => {
  const form = { ...emptyForm(), topics: ["a", "", "a"], poolSize: "" };
  const found = validate(form);
  expect(found.map((one) => [one.field, one.key])).toEqual([
    ["name", "form.required"],
    ["server", "form.required"],
    ["pool_size", "form.required"],
    ["topics.1", "form.required"],
    ["topics.2", "form.topics.repeated"],
  ]);
  expect(validate({ ...emptyForm(), name: "eu", server: "h" })).toEqual([]);
});

test("complaints about a filter stand at its row", () => {
  const bad = { field: "topics", key: "refusal.topic.topic_invalid_hash" as const, params: {}, filter: "a/#/b" };
  expect(toRows([bad], ["x", "a/#/b"])).toEqual([{ ...bad, field: "topics.1" }]);
  expect(toRows([bad], ["x"])).toEqual([bad]);
  const twice = { ...bad, key: "refusal.topic.redundant" as const, filter: "t" };
  expect(toRows([twice], ["t", "t"])).toEqual([{ ...twice, field: "topics.1" }]);
});

test("the same duration in another unit is no change", () => {
  const form = toForm(stored);
  expect(isChanged({ ...form, retryInterval: { number: "15000", unit: "ms" } }, form)).toBe(false);
  expect(isChanged({ ...form, topics: [...form.topics, "x"] }, form)).toBe(true);
});

test("advanced fields are told from the others", () => {
  for (const field of ["pool_size", "resource_opts.request_ttl", "tcp_opts.nodelay", "inbound.cert_cn"]) expect(isAdvanced(field)).toBe(true);
  for (const field of ["name", "server", "topics.0", "ssl.certfile", ""]) expect(isAdvanced(field)).toBe(false);
});

test("the counterpart is named like this cluster and carries no secret", () => {
  const other = counterpart(stored, "us-east");
  expect(other).toMatchObject({ name: "us-east", clientid: "eu-west-", topics: [], ssl: { enable: true } });
  expect(JSON.stringify(other)).not.toMatch(/password|username|\*\*\*/);
});

test("what is to be pasted begins at the first brace of an advice", () => {
  expect(pasteOf('Add an inbound rule to the link: {"inbound":{}}')).toEqual({ text: "Add an inbound rule to the link:", paste: '{"inbound":{}}' });
  expect(pasteOf("Renew it.")).toEqual({ text: "Renew it.", paste: "" });
  expect(pasteOf(undefined)).toEqual({ text: "", paste: "" });
});
