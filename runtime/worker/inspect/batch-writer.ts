/**
 * Collects rows of frames into batches.
 *
 * @module
 */

import type { ActorRecord, Batch } from "./frames.ts";

export interface TransitionRow {
  readonly session: string;
  readonly address: string;
  readonly seq: number;
  /** JSON texts. */
  readonly event: string;
  readonly from: string;
  readonly to: string;
  readonly actions: string;
  readonly microsteps: string;
  readonly snapshot: string | undefined;
  readonly status: string;
  readonly source: string | undefined;
}

export interface BatchWriter {
  readonly count: number;
  actor(record: ActorRecord): void;
  event(session: string, event: string, source: string | undefined): void;
  transition(row: TransitionRow): void;
  /** The batch so far, and an empty writer. */
  take(dropped: number): Batch;
}

/** @param nowMs Epoch milliseconds. */
export function createBatchWriter(nowMs: () => number): BatchWriter {
  let indices = new Map<string, number>();
  let rows: string[] = [];
  let baseMs = 0;

  function index(text: string): number {
    const known = indices.get(text);
    if (known !== undefined) return known;
    const next = indices.size;
    indices.set(text, next);
    return next;
  }

  function ms(): number {
    const now = nowMs();
    if (rows.length === 0) baseMs = now;
    return now - baseMs;
  }

  const sourceIndex = (source: string | undefined): number =>
    source === undefined ? -1 : index(source);

  return {
    get count() {
      return rows.length;
    },
    actor: (record) => {
      ms();
      rows.push(`[0,${JSON.stringify(record)}]`);
    },
    event: (session, event, source) => {
      rows.push(`[1,${index(session)},${ms()},${event},${sourceIndex(source)}]`);
    },
    transition: (row) => {
      const at = ms();
      const tail = row.snapshot === undefined ? "]" : `,${row.snapshot}]`;
      rows.push(
        `[2,${index(row.session)},${index(row.address)},${row.seq},${at},${row.event},${index(row.from)},${index(row.to)},${index(row.status)},${index(row.actions)},${index(row.microsteps)},${sourceIndex(row.source)}${tail}`,
      );
    },
    take: (dropped) => {
      const batch: Batch = {
        type: "batch",
        baseMs,
        strings: [...indices.keys()],
        rows: `[${rows.join(",")}]`,
        count: rows.length,
        dropped,
      };
      indices = new Map();
      rows = [];
      return batch;
    },
  };
}
