// The live stream of events, by server-sent events: one connection, resumed by the browser after the last cursor.
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import type { EventRecord } from "../../api/types";
import { sessionKey } from "../../app/session";

export type StreamState = "connecting" | "live" | "interrupted";

/** How long arrivals are gathered before they are drawn: short enough to be live, long enough for a flood. */
const GATHER_MS = 150;

export interface Gap {
  missed: number | null;
}

export function useEventStream(query: string, arrive: (records: EventRecord[]) => void, gap: (gap: Gap) => void): StreamState {
  const [state, setState] = useState<StreamState>("connecting");
  const queries = useQueryClient();
  const callbacks = useRef({ arrive, gap });
  callbacks.current = { arrive, gap };

  useEffect(() => {
    let gathered: EventRecord[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    let retry: ReturnType<typeof setTimeout> | undefined;
    let source: EventSource;
    const flush = () => {
      timer = undefined;
      const records = gathered;
      gathered = [];
      callbacks.current.arrive(records);
    };
    const open = () => {
      source = new EventSource(`/api/v1/events/stream?${query}`);
      source.onopen = () => setState("live");
      source.addEventListener("event", (message) => {
        gathered.push(JSON.parse(message.data as string) as EventRecord);
        timer ??= setTimeout(flush, GATHER_MS);
      });
      source.addEventListener("gap", (message) => {
        const { missed } = JSON.parse(message.data as string) as { missed?: number | null };
        callbacks.current.gap({ missed: missed ?? null });
      });
      source.onerror = () => {
        setState("interrupted");
        if (source.readyState !== EventSource.CLOSED) return;
        // The browser gives up when the console refuses. A session that ended shows in the session itself; after
        // anything else, asking again is right, and what was missed meanwhile is a gap.
        void queries.invalidateQueries({ queryKey: sessionKey });
        retry = setTimeout(() => {
          callbacks.current.gap({ missed: null });
          open();
        }, 5_000);
      };
    };
    setState("connecting");
    open();
    return () => {
      clearTimeout(timer);
      clearTimeout(retry);
      source.close();
    };
  }, [query, queries]);
  return state;
}
