/**
 * Takes incidents at once and stores them when the database answers.
 *
 * @module
 */

import type { Clock, Incident, IncidentLog, Log } from "../../../actors/ports.ts";
import type {
  IncidentFilter,
  IncidentRepo,
  IncidentRow,
  NewIncident,
} from "../../../db/incident-repo.ts";

/** Incidents that wait for the database; beyond that the oldest is given up, and counted. */
const bufferLimit = 1_000;
/** Rows of one statement. */
const batchSize = 100;
const firstPauseMs = 500;
const longestPauseMs = 10_000;

export interface IncidentJournal extends IncidentLog {
  /** Newest first; what waits for the database is not among them yet. */
  list(filter: IncidentFilter): Promise<readonly IncidentRow[]>;
  /** Incidents that wait for the database. */
  waiting(): number;
  /** Tries to store what waits; resolves in any case. */
  flush(): Promise<void>;
  /** Tries once more to store what waits, then takes nothing. */
  close(): Promise<void>;
}

export interface IncidentLogOptions {
  /** Where to store now; may throw while there is no database. */
  readonly repo: () => IncidentRepo;
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
}

export function createIncidentLog(options: IncidentLogOptions): IncidentJournal {
  const { node, clock, log } = options;
  let buffer: NewIncident[] = [];
  let dropped = 0;
  let pauseMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let storing: Promise<void> | undefined;
  let closed = false;

  async function store(): Promise<void> {
    while (buffer.length > 0) {
      const batch = buffer.slice(0, batchSize);
      await options.repo().insert(batch);
      // Meanwhile the oldest may have been given up: only what was stored is taken out.
      const stored = new Set(batch);
      buffer = buffer.filter((incident) => !stored.has(incident));
      pauseMs = 0;
    }
  }

  function flush(): Promise<void> {
    storing ??= store()
      .catch((error: unknown) => {
        pauseMs = Math.min(Math.max(pauseMs * 2, firstPauseMs), longestPauseMs);
        log.debug("cannot store incidents, trying again", {
          waiting: buffer.length,
          error: String(error),
        });
      })
      .finally(() => {
        storing = undefined;
        if (buffer.length > 0) arm();
      });
    return storing;
  }

  function arm(): void {
    if (closed || storing !== undefined || timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      void flush();
    }, pauseMs);
    timer.unref();
  }

  return {
    record: (incident: Incident) => {
      if (closed) return;
      log.warn("incident", { ...incident });
      buffer.push({ ...incident, node, atMs: clock.now().getTime() });
      if (buffer.length > bufferLimit) {
        buffer.shift();
        dropped += 1;
        if (dropped % 100 === 1) log.error("incidents are lost: the database is away", { dropped });
      }
      arm();
    },
    list: async (filter) => options.repo().list(filter),
    waiting: () => buffer.length,
    flush,
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await storing;
      await flush();
    },
  };
}
