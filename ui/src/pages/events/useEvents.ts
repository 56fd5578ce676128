// The rows of the events page: a list that grows at both ends, old pages behind and the live stream in front.
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { api, body } from "../../api/client";
import type { EventRecord } from "../../api/types";
import { fromAddress, toAddress, toQuery } from "../../logic/eventFilter";
import { EventLog } from "../../logic/eventLog";
import { type StreamState, useEventStream } from "./stream";

/** As many as the API gives at once. */
const PAGE = 1000;

export interface Events {
  rows: readonly EventRecord[];
  /** Came while held. */
  waiting: number;
  /** Whether there are older ones to load. */
  more: boolean;
  pending: boolean;
  /** How far back a search that found nothing yet has come. */
  searchedTo: string | null;
  error: unknown;
  state: StreamState;
  /** Passed over by the stream; null where none, 0 where nobody knows how many. */
  missed: number | null;
  loadMore: () => void;
  release: () => void;
  reload: () => void;
}

/** `address` is the filter as it stands in the address. */
export function useEvents(address: string, hold: boolean): Events {
  const [generation, setGeneration] = useState(0);
  const log = useMemo(() => new EventLog(), [address, generation]);
  const query = useMemo(() => toQuery(fromAddress(new URLSearchParams(address)), Date.now()), [address, generation]);
  const [, redraw] = useState({});
  const [pending, setPending] = useState(true);
  const [error, setError] = useState<unknown>(null);
  const [missed, setMissed] = useState<number | null>(null);
  const [searchedTo, setSearchedTo] = useState<string | null>(null);
  const loading = useRef<EventLog | null>(null);
  const held = useRef(hold);
  held.current = hold;

  const load = useCallback(async (cursor: string | null) => {
    if (loading.current === log || log.full) return;
    loading.current = log;
    try {
      // A search of long ago answers with what it found so far, which may be nothing: it goes on from there.
      for (let at = cursor; ;) {
        const page = await body(api.GET("/events", { params: { query: { ...query, limit: PAGE, ...(at ? { cursor: at } : {}) } } }));
        // The answer to a question that nobody asks any more.
        if (loading.current !== log) return;
        log.append(page.items, page.next);
        at = page.next;
        setSearchedTo(page.searchedTo);
        if (page.items.length > 0 || at === null) break;
      }
    } catch (problem) {
      if (loading.current === log) setError(problem);
    }
    if (loading.current === log) {
      loading.current = null;
      setPending(false);
      redraw({});
    }
  }, [log, query]);

  useEffect(() => {
    setPending(true);
    setError(null);
    setMissed(null);
    setSearchedTo(null);
    void load(null);
    return () => {
      if (loading.current === log) loading.current = null;
    };
  }, [load, log]);

  const stream = useMemo(() => {
    // The stream knows no times: what arrives is new.
    const filter = fromAddress(new URLSearchParams(address));
    return toAddress({ ...filter, from: undefined, to: undefined, hours: undefined }).toString();
  }, [address]);
  const state = useEventStream(stream, (records) => {
    log.arrive(records, held.current);
    redraw({});
  }, (gap) => setMissed((before) => (before ?? 0) + (gap.missed ?? 0)));

  return {
    rows: log.rows,
    waiting: log.waiting.length,
    more: log.next !== null || log.full,
    pending,
    searchedTo,
    error,
    state,
    missed,
    loadMore: useCallback(() => {
      if (log.next !== null) void load(log.next);
    }, [load, log]),
    release: useCallback(() => {
      log.release();
      redraw({});
    }, [log]),
    reload: useCallback(() => setGeneration((value) => value + 1), []),
  };
}
