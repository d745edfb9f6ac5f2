/** Reads a value now and every few seconds, while the page is seen and somebody is logged in. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { online, retryTick } from "../api/client";
import { session } from "./session";

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
    const round = async () => {
      if (running) return;
      running = true;
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
      const pause = everyMs > 0 ? everyMs : online.peek() ? 0 : 5000;
      if (!stop.signal.aborted && pause > 0) timer = setTimeout(round, pause);
    };
    const seen = () => {
      if (document.hidden || everyMs === 0) return;
      clearTimeout(timer);
      void round();
    };
    document.addEventListener("visibilitychange", seen);
    void round();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [key, everyMs, again, tick, token]);

  return { ...state, refresh };
}
