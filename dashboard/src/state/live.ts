/**
 * One stream of server-sent events for the whole dashboard: the server tells what has changed, and
 * whoever shows it reads it again. While there is no stream, pages ask every few seconds.
 *
 * Read with fetch, because EventSource cannot send the token.
 */
import { effect, signal } from "@preact/signals";
import { stream } from "../api/client";
import { session } from "./session";

export type Topic = "cluster" | "links" | "alarms";

/** Whether the stream is there. */
export const live = signal(false);

const listeners = new Map<Topic, Set<() => void>>();

/** Calls `changed` at each event of the topic; gives the way to end it. */
export function listen(topic: Topic, changed: () => void): () => void {
  const all = listeners.get(topic) ?? new Set();
  listeners.set(topic, all.add(changed));
  return () => void all.delete(changed);
}

const RETRY_MS = 2_000;
const RETRY_MAX_MS = 30_000;
/** The server sends a comment every 5 s; a stream that is silent for longer is dead. */
const SILENCE_MS = 20_000;

/** The names of the events in a piece of the stream, and what of it is not complete yet. */
export function eventsOf(text: string): { names: string[]; rest: string } {
  const blocks = text.split("\n\n");
  const rest = blocks.pop() ?? "";
  const names = blocks.flatMap((block) => {
    const line = block.split("\n").find((each) => each.startsWith("event: "));
    return line ? [line.slice("event: ".length)] : [];
  });
  return { names, rest };
}

async function follow(stop: AbortSignal): Promise<void> {
  const silence = new AbortController();
  const reader = await stream("/events", AbortSignal.any([stop, silence.signal]));
  live.value = true;
  let kept = "";
  for (;;) {
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    const { names, rest } = eventsOf(kept + value);
    kept = rest;
    // The first ones too: what they tell may be newer than what a page has just read.
    names.forEach((name) => listeners.get(name as Topic)?.forEach((changed) => changed()));
  }
}

/** Follows the stream while somebody is logged in and the page is seen. */
export function start(): void {
  let stop: AbortController | undefined;
  const run = async (signal: AbortSignal) => {
    let pause = RETRY_MS;
    while (!signal.aborted) {
      const began = Date.now();
      await follow(signal).catch(() => undefined);
      live.value = false;
      pause = Date.now() - began > RETRY_MAX_MS ? RETRY_MS : Math.min(pause * 2, RETRY_MAX_MS);
      if (!signal.aborted) await new Promise((done) => setTimeout(done, pause));
    }
  };
  const restart = () => {
    stop?.abort();
    stop = undefined;
    live.value = false;
    if (!session.peek()?.token || document.hidden) return;
    stop = new AbortController();
    void run(stop.signal);
  };
  effect(() => {
    void session.value?.token;
    restart();
  });
  document.addEventListener("visibilitychange", restart);
}
