/** Reads a value now and every few seconds, while the page is seen and somebody is logged in. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { online, retryTick } from "../api/client";
import { listen, live, type Topic } from "./live";
import { session } from "./session";

/** Pause between two reads of what the server would tell. */
const TOLD_MS = 20_000;

export interface Polled<T> {
  value: T | undefined;
  /** The last attempt failed; `value` is what was read before. */
  error: unknown;
  loading: boolean;
  refresh: () => void;
}

export function usePoll<T>(
  read: (signal: AbortSignal) => Promise<T>,
  everyMs: number,
  keys: readonly unknown[],
  /** What the server tells changes of: while it does, it is asked for only seldom. */
  topics: readonly Topic[] = [],
): Polled<T> {
  const [state, setState] = useState<{ value: T | undefined; error: unknown; loading: boolean }>({
    value: undefined,
    error: undefined,
    loading: true,
  });
  const reader = useRef(read);
  reader.current = read;
  const [again, setAgain] = useState(0);
  const refresh = useCallback(() => setAgain((n) => n + 1), []);
  const token = session.value?.token;
  const tick = retryTick.value;
  const topicsKey = topics.join();

  // Other keys mean another thing: what was read for the old one must not be shown for it.
  const key = JSON.stringify(keys);
  const shown = useRef(key);
  if (shown.current !== key) {
    shown.current = key;
    state.value = undefined;
    state.loading = true;
    state.error = undefined;
  }

  useEffect(() => {
    if (!token) return undefined;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let running = false;
    let missed = false;
    const round = async () => {
      if (running) return;
      running = true;
      missed = false;
      if (!document.hidden) {
        try {
          const value = await reader.current(stop.signal);
          if (!stop.signal.aborted) setState({ value, error: undefined, loading: false });
        } catch (error) {
          if (!stop.signal.aborted) setState((old) => ({ value: old.value, error, loading: false }));
        }
      }
      running = false;
      // One at a time: a slow answer never piles up requests. An unreachable server is asked
      // again soon even on pages that do not poll.
      const told = topics.length > 0 && live.peek() && everyMs > 0;
      const usual = told ? Math.max(TOLD_MS, everyMs) : everyMs > 0 ? everyMs : online.peek() ? 0 : 5000;
      // What changed while it was read may not be in the answer.
      const pause = missed ? 1 : usual;
      if (!stop.signal.aborted && pause > 0) timer = setTimeout(round, pause);
    };
    const seen = () => {
      if (document.hidden || everyMs === 0) return;
      clearTimeout(timer);
      void round();
    };
    const changed = () => {
      missed = running;
      if (running) return;
      clearTimeout(timer);
      void round();
    };
    const ends = topics.map((topic) => listen(topic, changed));
    // Without the stream the next read may be too far away.
    if (topics.length > 0) ends.push(live.subscribe((up) => void (up || timer === undefined || changed())));
    document.addEventListener("visibilitychange", seen);
    void round();
    return () => {
      ends.forEach((end) => end());
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [key, everyMs, topicsKey, again, tick, token]);

  return { ...state, refresh };
}
