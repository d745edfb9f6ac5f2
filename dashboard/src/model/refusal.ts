/**
 * the server's refusals, taken apart and put to the field that caused them, in the user's
 * language. Pure: gives keys and parameters, not texts.
 */
import type { Key, Params } from "../i18n";

export interface Complaint {
  /** Dotted path below the link: `server`, `ssl.certfile`, `resource_opts.start_timeout`. Empty: the whole. */
  field: string;
  key: Key;
  params: Params;
  /** For `topics`: the filter that it is about. */
  filter?: string;
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `root.server`, `cluster.links.2.server` and `server` are one field. */
export function fieldOf(path: unknown): string {
  if (typeof path !== "string") return "";
  return path.replace(/^root(\.|$)/, "").replace(/^cluster\.links(\.\d+)?(\.|$)/, "");
}

/** Words that name the fault completely. */
const WORDS: Record<string, Key> = {
  required_field: "refusal.required_field",
  cannot_be_empty: "refusal.cannot_be_empty",
  bad_host_port: "refusal.bad_host_port",
  bad_port_number: "refusal.bad_port_number",
  port_number_too_large: "refusal.port_number_too_large",
  hostname_has_space: "refusal.hostname_has_space",
  expecting_hostname_but_got_a_number: "refusal.expecting_hostname_but_got_a_number",
  unsupported_scheme: "refusal.unsupported_scheme",
  mqtts_requires_ssl_enable: "refusal.mqtts_requires_ssl_enable",
  cluster_link_to_self: "refusal.cluster_link_to_self",
  bad_ssl_config: "refusal.bad_ssl_config",
  bad_value_for_struct: "refusal.bad_value_for_struct",
  not_a_enum_symbol: "refusal.not_a_enum_symbol",
  "Unable to parse boolean value": "refusal.boolean",
  "Not a valid duration": "refusal.duration",
  "Not a valid size": "refusal.size",
  "Name cannot be empty string": "refusal.name_empty",
  "Name length must be less than 255": "refusal.name_long",
};

const TOPIC_CAUSES: Record<string, Key> = {
  empty_topic: "refusal.topic.empty_topic",
  topic_too_long: "refusal.topic.topic_too_long",
  "topic_invalid_#": "refusal.topic.topic_invalid_hash",
  topic_invalid_char: "refusal.topic.topic_invalid_char",
  topic_not_allowed: "refusal.topic.topic_not_allowed",
  share_not_allowed: "refusal.topic.share_not_allowed",
};

function aboutTopics(field: string, reason: Json): Complaint[] {
  const topics = reason["topics"];
  if (reason["reason"] === "redundant_topics" && Array.isArray(topics)) {
    return topics.map((filter) => ({
      field,
      key: "refusal.topic.redundant" as const,
      params: { filter: String(filter) },
      filter: String(filter),
    }));
  }
  if (!isObject(topics)) return [{ field, key: "refusal.topics_invalid", params: {} }];
  return Object.entries(topics).map(([filter, cause]) => ({
    field,
    key: TOPIC_CAUSES[String(cause)] ?? "refusal.topic.other",
    params: { filter, cause: String(cause) },
    filter,
  }));
}

function aboutReason(field: string, violation: Json): Complaint[] {
  const reason = violation["reason"];
  const other = (detail: string): Complaint[] => [{ field, key: "refusal.other", params: { detail } }];
  if (typeof reason === "string") {
    const known = WORDS[reason];
    if (known) {
      const name = known === "refusal.name_empty" || known === "refusal.name_long";
      return [{ field: name && field === "" ? "name" : field, key: known, params: {} }];
    }
    if (reason === "unknown_fields") {
      return [{ field: "", key: "refusal.unknown_fields", params: { names: String(violation["unknown"] ?? "") } }];
    }
    if (reason.startsWith("Invalid name format")) return [{ field: "name", key: "refusal.name_format", params: {} }];
    if (reason.startsWith("Health Check Interval")) return [{ field, key: "refusal.health_interval", params: {} }];
    return other(reason);
  }
  if (isObject(reason)) {
    if (reason["reason"] === "redundant_topics" || reason["reason"] === "invalid_topics") {
      return aboutTopics(field, reason);
    }
    if (reason["reason"] === "duplicated_cluster_links") {
      return [{ field: "name", key: "refusal.name_taken", params: {} }];
    }
    const expected = reason["expected"];
    if (typeof expected === "string") return aboutExpected(field, expected);
    return other(JSON.stringify(reason));
  }
  if (typeof violation["expected_data_type"] === "string") {
    return [{ field, key: "refusal.type", params: { expected: String(violation["expected_data_type"]) } }];
  }
  return other(JSON.stringify(violation));
}

function aboutExpected(field: string, expected: string): Complaint[] {
  const range = /^(\d+)\.\.(\d+)$/.exec(expected);
  if (range) {
    return [{ field, key: "refusal.range", params: { least: range[1] ?? "", most: range[2] ?? "" } }];
  }
  if (expected === "pos_integer()") return [{ field, key: "refusal.pos_integer", params: {} }];
  if (expected === "non_neg_integer()") return [{ field, key: "refusal.non_neg_integer", params: {} }];
  return [{ field, key: "refusal.type", params: { expected } }];
}

/** Complaints in the order of the server; never none for a refusal. */
export function complaints(code: string, message: string): Complaint[] {
  if (code === "ALREADY_EXISTS") return [{ field: "name", key: "refusal.name_taken", params: {} }];
  if (code === "PRECONDITION_FAILED") return [{ field: "", key: "refusal.changed_meanwhile", params: {} }];
  if (code === "SERVICE_UNAVAILABLE") return [{ field: "", key: "refusal.no_quorum", params: {} }];
  if (["BAD_TOKEN", "TOKEN_TIME_OUT", "AUTHORIZATION_HEADER_ERROR"].includes(code)) {
    return [{ field: "", key: "refusal.login", params: {} }];
  }
  if (code === "UNAUTHORIZED_ROLE") return [{ field: "", key: "refusal.role", params: {} }];
  let parsed: unknown;
  try {
    parsed = JSON.parse(message);
  } catch {
    parsed = undefined;
  }
  const violations = (Array.isArray(parsed) ? parsed : [parsed]).filter(isObject);
  const found = violations.flatMap((violation) => aboutReason(fieldOf(violation["path"]), violation));
  if (found.length > 0) return found;
  const same = /link (\S+) has the same server and clientid/.exec(message);
  if (same) return [{ field: "clientid", key: "refusal.same_connection", params: { other: same[1] ?? "" } }];
  if (message.includes("cluster_link_to_self")) return [{ field: "name", key: "refusal.cluster_link_to_self", params: {} }];
  const bare = WORDS[message] ? aboutReason("", { reason: message }) : [];
  if (bare.length > 0) return bare;
  if (message.startsWith("Invalid name format")) return [{ field: "name", key: "refusal.name_format", params: {} }];
  return [{ field: "", key: "refusal.other", params: { detail: message || code } }];
}
