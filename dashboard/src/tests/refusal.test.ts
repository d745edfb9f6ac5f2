import { expect, test } from "vitest";
import { complaints, fieldOf } from "../model/refusal";

/** The rows of R-1, as the server writes them. */
const said = (...violations: object[]) =>
  complaints("BAD_REQUEST", JSON.stringify(violations.length === 1 ? violations[0] : violations)).map(({ field, key }) => [field, key]);
const at = (path: string, more: object) => ({ kind: "validation_error", path, ...more });

test("the three kinds of paths name one field", () => {
  expect(fieldOf("root.ssl.certfile")).toBe("ssl.certfile");
  expect(fieldOf("ssl.certfile")).toBe("ssl.certfile");
  expect(fieldOf("cluster.links.2.server")).toBe("server");
  expect(fieldOf("root")).toBe("");
  expect(fieldOf(undefined)).toBe("");
});

test("each refusal of the contract comes to its field", () => {
  const table: [object, string, string][] = [
    [at("root.server", { reason: "required_field" }), "server", "refusal.required_field"],
    [at("cluster.links.1", { reason: "unknown_fields", unknown: "foo" }), "", "refusal.unknown_fields"],
    [at("root.topics", { expected_data_type: "array", got: "string" }), "topics", "refusal.type"],
    [at("cluster.links", { reason: { reason: "duplicated_cluster_links", duplicates: ["l1"] } }), "name", "refusal.name_taken"],
    [at("server", { reason: "port_number_too_large", value: "h:99999" }), "server", "refusal.port_number_too_large"],
    [at("server", { reason: "bad_port_number" }), "server", "refusal.bad_port_number"],
    [at("server", { reason: "hostname_has_space" }), "server", "refusal.hostname_has_space"],
    [at("server", { reason: "cannot_be_empty" }), "server", "refusal.cannot_be_empty"],
    [at("server", { reason: "mqtts_requires_ssl_enable" }), "server", "refusal.mqtts_requires_ssl_enable"],
    [at("root.pool_size", { reason: { expected: "pos_integer()" } }), "pool_size", "refusal.pos_integer"],
    [at("root.resource_opts.worker_pool_size", { reason: { expected: "1..1024" } }), "resource_opts.worker_pool_size", "refusal.range"],
    [
      at("root.resource_opts.health_check_interval", { reason: "Health Check Interval (0ms) is out of range (1ms to 3600000ms)" }),
      "resource_opts.health_check_interval",
      "refusal.health_interval",
    ],
    [at("root.enable", { reason: "Unable to parse boolean value" }), "enable", "refusal.boolean"],
    [at("root.retry_interval", { reason: "Not a valid duration" }), "retry_interval", "refusal.duration"],
    [at("root.resource_opts.max_buffer_bytes", { reason: "Not a valid size" }), "resource_opts.max_buffer_bytes", "refusal.size"],
    [at("root.ssl.verify", { reason: "not_a_enum_symbol" }), "ssl.verify", "refusal.not_a_enum_symbol"],
    [at("root", { reason: "bad_value_for_struct" }), "", "refusal.bad_value_for_struct"],
    [at("root.name", { reason: "cluster_link_to_self" }), "name", "refusal.cluster_link_to_self"],
    [{ kind: "validation_error", reason: "Name cannot be empty string" }, "name", "refusal.name_empty"],
    [{ kind: "validation_error", reason: "Name length must be less than 255" }, "name", "refusal.name_long"],
    [{ kind: "validation_error", reason: "Invalid name format. … Got: ü" }, "name", "refusal.name_format"],
    [at("server", { reason: "something_new" }), "server", "refusal.other"],
  ];
  for (const [violation, field, key] of table) expect(said(violation), JSON.stringify(violation)).toEqual([[field, key]]);
});

test("every filter that is covered or wrong is named on its own", () => {
  const redundant = complaints("BAD_REQUEST", JSON.stringify(at("topics", { reason: { reason: "redundant_topics", topics: ["t/1", "t/2"] } })));
  expect(redundant.map((one) => one.filter)).toEqual(["t/1", "t/2"]);
  const invalid = complaints(
    "BAD_REQUEST",
    JSON.stringify(
      at("root.topics", {
        reason: { reason: "invalid_topics", topics: { "a/#/b": "topic_invalid_#", "x+": "topic_invalid_char", "$LINK/cluster/x": "topic_not_allowed", "": "empty_topic", q: "new_cause" } },
      }),
    ),
  );
  expect(invalid.map((one) => [one.filter, one.key])).toEqual([
    ["a/#/b", "refusal.topic.topic_invalid_hash"],
    ["x+", "refusal.topic.topic_invalid_char"],
    ["$LINK/cluster/x", "refusal.topic.topic_not_allowed"],
    ["", "refusal.topic.empty_topic"],
    ["q", "refusal.topic.other"],
  ]);
});

test("several violations of a POST all come through", () => {
  expect(said(at("root.name", { reason: "cluster_link_to_self" }), at("root.server", { reason: "required_field" }), at("root.topics", { reason: "required_field" }))).toEqual([
    ["name", "refusal.cluster_link_to_self"],
    ["server", "refusal.required_field"],
    ["topics", "refusal.required_field"],
  ]);
});

test("refusals without a schema violation are sentences of their own", () => {
  const key = (code: string, message = "") => complaints(code, message)[0]?.key;
  expect(key("ALREADY_EXISTS", "Cluster link already exists")).toBe("refusal.name_taken");
  expect(key("PRECONDITION_FAILED")).toBe("refusal.changed_meanwhile");
  expect(key("SERVICE_UNAVAILABLE")).toBe("refusal.no_quorum");
  expect(key("UNAUTHORIZED_ROLE")).toBe("refusal.role");
  expect(key("TOKEN_TIME_OUT", "The token has expired; log in again")).toBe("refusal.login");
  expect(complaints("BAD_REQUEST", "Create link failed: link b has the same server and clientid; give this one another clientid")[0]).toMatchObject({
    field: "clientid",
    params: { other: "b" },
  });
  expect(complaints("INTERNAL_ERROR", "boom")).toEqual([{ field: "", key: "refusal.other", params: { detail: "boom" } }]);
  expect(complaints("HTTP_500", "")).toEqual([{ field: "", key: "refusal.other", params: { detail: "HTTP_500" } }]);
});
