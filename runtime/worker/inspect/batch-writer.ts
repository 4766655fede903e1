/**
 * Collects frames into batches, with next to no garbage: numbers go into one array of integers, texts
 * that repeat are interned, and only what is new in a frame is kept as text.
 *
 * @module
 */

import { type ActorRecord, type Batch, cellsPerRow, maxBatchRows, RowKind } from "./frames.ts";

/** A text that repeats, with its place in the current batch. */
export interface Interned {
  readonly text: string;
  batch: number;
  index: number;
}

export function intern(text: string): Interned {
  return { text, batch: -1, index: -1 };
}

export interface TransitionRow {
  readonly session: Interned;
  readonly address: Interned;
  readonly seq: number;
  /** JSON text. */
  readonly event: string;
  /** Interned JSON texts. */
  readonly from: Interned;
  readonly to: Interned;
  readonly actions: Interned;
  readonly microsteps: Interned;
  readonly status: Interned;
  readonly source: Interned | undefined;
  /** JSON text. */
  readonly snapshot: string | undefined;
}

export interface BatchWriter {
  readonly count: () => number;
  actor(record: ActorRecord): void;
  event(session: Interned, event: string, source: Interned | undefined): void;
  transition(row: TransitionRow): void;
  /** The batch so far, and an empty writer. */
  take(dropped: number): Batch;
}

/** @param nowMs Epoch milliseconds. */
export function createBatchWriter(nowMs: () => number): BatchWriter {
  const cells = new Int32Array(maxBatchRows * cellsPerRow);
  let strings: string[] = [];
  let texts: string[] = [];
  let batch = 0;
  let count = 0;
  let baseMs = 0;

  function index(one: Interned): number {
    if (one.batch === batch) return one.index;
    one.batch = batch;
    one.index = strings.length;
    strings.push(one.text);
    return one.index;
  }

  /** The place of the next row's first cell; its kind and time are set. */
  function begin(kind: number): number {
    const now = nowMs();
    if (count === 0) baseMs = now;
    const place = count * cellsPerRow;
    count += 1;
    cells[place] = kind;
    cells[place + 1] = now - baseMs;
    return place;
  }

  return {
    count: () => count,
    actor: (record) => {
      begin(RowKind.actor);
      texts.push(JSON.stringify(record));
    },
    event: (session, event, source) => {
      const place = begin(RowKind.event);
      cells[place + 2] = index(session);
      cells[place + 3] = source === undefined ? -1 : index(source);
      texts.push(event);
    },
    transition: (row) => {
      const place = begin(row.snapshot === undefined ? RowKind.transition : RowKind.full);
      cells[place + 2] = index(row.session);
      cells[place + 3] = row.source === undefined ? -1 : index(row.source);
      cells[place + 4] = index(row.address);
      cells[place + 5] = row.seq;
      cells[place + 6] = index(row.from);
      cells[place + 7] = index(row.to);
      cells[place + 8] = index(row.status);
      cells[place + 9] = index(row.actions);
      cells[place + 10] = index(row.microsteps);
      texts.push(row.event);
      if (row.snapshot !== undefined) texts.push(row.snapshot);
    },
    take: (dropped) => {
      const taken: Batch = {
        type: "batch",
        baseMs,
        strings,
        cells: cells.slice(0, count * cellsPerRow),
        texts: `[${texts.join(",")}]`,
        dropped,
      };
      batch += 1;
      count = 0;
      strings = [];
      texts = [];
      return taken;
    },
  };
}

/** Lists of names that repeat, each with its JSON text: a step from list to list costs one look-up. */
export interface NameList {
  readonly json: Interned;
  readonly length: number;
  with(name: string): NameList;
}

/** Different lists that are kept; a machine has few, one with generated names must not fill the memory. */
const maxLists = 4_096;

export function createNameLists(): () => NameList {
  let made = 0;
  let empty = list([]);

  function list(names: readonly string[]): NameList {
    const longer = new Map<string, NameList>();
    made += 1;
    return {
      json: intern(JSON.stringify(names)),
      length: names.length,
      with: (name) => {
        const known = longer.get(name);
        if (known !== undefined) return known;
        const next = list([...names, name]);
        longer.set(name, next);
        return next;
      },
    };
  }

  return () => {
    if (made > maxLists) {
      made = 0;
      empty = list([]);
    }
    return empty;
  };
}
