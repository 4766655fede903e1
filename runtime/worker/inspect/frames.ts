/**
 * What inspectors in workers (threads and processes) and the hub in the main thread tell each other.
 *
 * Frames travel in batches. A batch is self-contained: texts that repeat (addresses, state values, names
 * of actions) stand once in its `strings`, so that no batch needs another.
 *
 * @module
 */

import type { Json } from "../../../machines/error-code.ts";
import type { InspectedTransition, InspectionMode, MachineState } from "../../system.ts";

/** Rows of a batch. */
export const maxBatchRows = 512;
/** Longest time that a frame waits in its thread. */
export const flushIntervalMs = 50;
/** Batches of one thread that the hub has not taken yet; further frames are dropped and counted. */
export const maxOpenBatches = 64;

/** An actor that exists. `definition` and `chart` are absent where it is no statechart. */
export interface ActorRecord {
  readonly session: string;
  readonly address: string;
  readonly name: string;
  readonly parent?: string;
  /** Session of the root of its system. */
  readonly root: string;
  readonly machineId?: string;
  /** JSON text of the machine's config, as Stately's tools read it. */
  readonly definition?: string;
  readonly chart?: MachineState;
}

/** An event on its way into an actor; only while someone reads full frames. */
export interface EventFrame {
  readonly session: string;
  readonly atMs: number;
  readonly event: Json;
  readonly source?: string;
}

/** A transition, with the snapshot after it while someone reads full frames. */
export interface TransitionFrame extends InspectedTransition {
  readonly atMs: number;
  readonly snapshot?: Json;
}

export type HubFrame =
  | { readonly type: "actor"; readonly actor: ActorRecord }
  | { readonly type: "event"; readonly event: EventFrame }
  | { readonly type: "transition"; readonly transition: TransitionFrame };

export interface InspectorSettings {
  readonly mode: InspectionMode;
  /** Modes of single actors and all below them, by address. */
  readonly actors: Readonly<Record<string, InspectionMode>>;
  /** Event frames and snapshots too; for the Stately bridge. */
  readonly full: boolean;
  /** Further names of fields that are secret. */
  readonly secretNames: readonly string[];
}

export const settingsOff: InspectorSettings = {
  mode: "off",
  actors: {},
  full: false,
  secretNames: [],
};

/** The mode of an actor: its own, else that of the nearest actor above with one, else the general one. */
export function modeOf({ mode, actors }: InspectorSettings, address: string): InspectionMode {
  for (let path = address; path !== ""; path = path.slice(0, path.lastIndexOf("/"))) {
    const own = actors[path];
    if (own !== undefined) return own;
  }
  return mode;
}

/** What a row of a batch holds. */
export const RowKind = { actor: 0, event: 1, transition: 2, full: 3 } as const;

/**
 * Cells of a row: kind, ms after `baseMs`, session, source, address, seq, from, to, status, actions,
 * microsteps. All but kind, ms and seq are places in `strings`; -1 is none.
 */
export const cellsPerRow = 11;

export interface Batch {
  readonly type: "batch";
  readonly baseMs: number;
  readonly strings: readonly string[];
  readonly cells: Int32Array;
  /** JSON text of a list: for each row its actor or event, and for a full one its snapshot. */
  readonly texts: string;
  /** Frames that were dropped since the batch before. */
  readonly dropped: number;
}

export type InspectorMessage =
  | Batch
  | { readonly type: "watched"; readonly actor: ActorRecord }
  | { readonly type: "unwatched"; readonly session: string }
  | { readonly type: "looked"; readonly id: number; readonly status: string; readonly value: Json }
  | { readonly type: "failed"; readonly reason: string };

export type HubMessage =
  | { readonly type: "settings"; readonly settings: InspectorSettings }
  | { readonly type: "taken" }
  | { readonly type: "look"; readonly id: number; readonly session: string };

/** @throws When it is no batch: the worker's memory is not ours. */
export function decodeBatch({ strings, baseMs, cells, texts }: Batch): HubFrame[] {
  if (!(cells instanceof Int32Array) || cells.length > maxBatchRows * cellsPerRow) {
    throw new RangeError(`Cannot read a batch: it has no cells, or more than ${maxBatchRows} rows`);
  }
  const bodies = JSON.parse(texts) as Json[];
  const parsed = new Map<number, Json>();
  const text = (place: number): string => strings[cells[place] ?? -1] ?? "";
  const json = (place: number): Json => {
    const index = cells[place] ?? -1;
    const known = parsed.get(index);
    if (known !== undefined) return known;
    const value = JSON.parse(strings[index] ?? "null") as Json;
    parsed.set(index, value);
    return value;
  };
  const frames: HubFrame[] = [];
  let body = 0;
  const next = (): Json => bodies[body++] ?? null;
  for (let place = 0; place + cellsPerRow <= cells.length; place += cellsPerRow) {
    const kind = cells[place];
    const atMs = baseMs + (cells[place + 1] ?? 0);
    if (kind === RowKind.actor) {
      frames.push({ type: "actor", actor: next() as unknown as ActorRecord });
      continue;
    }
    const session = text(place + 2);
    const source = (cells[place + 3] ?? -1) < 0 ? {} : { source: text(place + 3) };
    const event = next();
    if (kind === RowKind.event) {
      frames.push({ type: "event", event: { session, atMs, event, ...source } });
      continue;
    }
    const transition: TransitionFrame = {
      session,
      address: text(place + 4),
      seq: cells[place + 5] ?? 0,
      atMs,
      at: new Date(atMs).toISOString(),
      event,
      from: json(place + 6),
      to: json(place + 7),
      status: text(place + 8),
      actions: json(place + 9) as string[],
      microsteps: json(place + 10) as string[],
      ...source,
      ...(kind === RowKind.full ? { snapshot: next() } : {}),
    };
    frames.push({ type: "transition", transition });
  }
  return frames;
}
