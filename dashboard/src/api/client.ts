/**
 * The one place that talks to the server. Adds the token, reads refusals, and tells the rest of
 * the dashboard whether the server can be reached and whether the login still holds.
 */
import { signal } from "@preact/signals";
import { expireSession, session } from "../state/session";

export const BASE = "/api/v5";

/** The server answered, and said no. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    override readonly message: string,
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

/** No answer, or none from our server. */
export class Unreachable extends Error {
  constructor(
    message: string,
    /** This one call took too long; the server may be well otherwise. */
    readonly slow = false,
  ) {
    super(message);
  }
}

/** False from the first request without an answer to the next one with an answer. */
export const online = signal(true);
/** Grows when the user asks to try again; polls listen to it. */
export const retryTick = signal(0);

/** No call hangs longer; the server itself waits at most 10 s (connection test). */
const TIMEOUT_MS = 15_000;

interface Options {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  body?: unknown;
  query?: Record<string, string | number | boolean | undefined>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** The login call itself: a 401 is an answer there, not an expired session. */
  anonymous?: boolean;
}

export function urlOf(path: string, query?: Options["query"]): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  return BASE + path + (text ? `?${text}` : "");
}

export async function call<T>(path: string, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json", ...options.headers };
  const token = session.value?.token;
  if (token && !options.anonymous) headers["authorization"] = `Bearer ${token}`;
  if (options.body !== undefined) headers["content-type"] = "application/json";
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  let text: string;
  try {
    response = await fetch(urlOf(path, options.query), {
      method: options.method ?? "GET",
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      signal: options.signal ? AbortSignal.any([options.signal, limit]) : limit,
    });
    text = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    // A change or a test that takes long says nothing about the connection; a plain read does.
    const slow = limit.aborted && (options.method ?? "GET") !== "GET";
    if (!slow) online.value = false;
    throw new Unreachable(String(error), slow);
  }
  if (response.status === 502 || response.status === 504) {
    online.value = false;
    throw new Unreachable(`HTTP ${response.status}`);
  }
  online.value = true;
  const body = parse(text);
  if (response.ok) return body as T;
  const refusal = refusalOf(response, body, text);
  if (response.status === 401 && !options.anonymous && session.value?.token === token) {
    expireSession();
  }
  throw refusal;
}

function parse(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function refusalOf(response: Response, body: unknown, text: string): Refusal {
  const object = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const message = object["message"];
  const after = Number(response.headers.get("retry-after") ?? Number.NaN);
  return new Refusal(
    response.status,
    typeof object["code"] === "string" ? object["code"] : `HTTP_${response.status}`,
    typeof message === "string" ? message : message === undefined ? text.slice(0, 300) : JSON.stringify(message),
    Number.isFinite(after) ? after : undefined,
  );
}

export function retryNow(): void {
  retryTick.value += 1;
}

/** The text of an answer that has no end, piece by piece, until `signal` ends it. */
export async function stream(path: string, signal: AbortSignal): Promise<ReadableStreamDefaultReader<string>> {
  const token = session.peek()?.token;
  const response = await fetch(urlOf(path), {
    headers: { accept: "text/event-stream", ...(token ? { authorization: `Bearer ${token}` } : {}) },
    credentials: "omit",
    cache: "no-store",
    redirect: "error",
    signal,
  });
  if (!response.ok || !response.body) throw new Error(`${path}: ${response.status}`);
  return response.body.pipeThrough(new TextDecoderStream()).getReader();
}
