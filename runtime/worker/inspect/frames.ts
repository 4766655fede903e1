/**
 * What inspectors in threads and the hub in the main thread tell each other.
 *
 * Frames travel in batches. A batch is self-contained: its rows are one JSON text, and texts that
 * repeat (addresses, state values, names of actions) stand once in `strings`, so a dropped batch
 * spoils no other.
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

export interface Batch {
  readonly type: "batch";
  readonly baseMs: number;
  readonly strings: readonly string[];
  /** JSON text of `Row[]`. */
  readonly rows: string;
  readonly count: number;
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

/** Numbers name places in `strings`; -1 is none. Values of states, events and snapshots are JSON. */
export type Row =
  | readonly [kind: 0, actor: ActorRecord]
  | readonly [kind: 1, session: number, ms: number, event: Json, source: number]
  | readonly [
      kind: 2,
      session: number,
      address: number,
      seq: number,
      ms: number,
      event: Json,
      from: number,
      to: number,
      status: number,
      actions: number,
      microsteps: number,
      source: number,
      snapshot?: Json,
    ];

/** @throws When the text is no JSON: the thread's memory is not ours. */
export function decodeBatch(batch: Batch): HubFrame[] {
  const { strings, baseMs } = batch;
  const parsed = new Map<number, Json>();
  const text = (index: number): string => strings[index] ?? "";
  const json = (index: number): Json => {
    const known = parsed.get(index);
    if (known !== undefined) return known;
    const value = index < 0 ? null : (JSON.parse(text(index)) as Json);
    parsed.set(index, value);
    return value;
  };
  const source = (index: number) => (index < 0 ? {} : { source: text(index) });
  return (JSON.parse(batch.rows) as Row[]).map((row): HubFrame => {
    if (row[0] === 0) return { type: "actor", actor: row[1] };
    if (row[0] === 1) {
      const [, session, ms, event, from] = row;
      return {
        type: "event",
        event: { session: text(session), atMs: baseMs + ms, event, ...source(from) },
      };
    }
    const [
      ,
      session,
      address,
      seq,
      ms,
      event,
      from,
      to,
      status,
      actions,
      microsteps,
      by,
      snapshot,
    ] = row;
    return {
      type: "transition",
      transition: {
        session: text(session),
        address: text(address),
        seq,
        atMs: baseMs + ms,
        at: new Date(baseMs + ms).toISOString(),
        event,
        from: json(from),
        to: json(to),
        status: text(status),
        actions: json(actions) as string[],
        microsteps: json(microsteps) as string[],
        ...source(by),
        ...(snapshot === undefined ? {} : { snapshot }),
      },
    };
  });
}
