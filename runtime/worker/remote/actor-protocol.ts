/**
 * What an actor's parent and its worker say to each other, as bodies of event frames.
 *
 * @module
 */

import type { OutgoingMail, SavedActor, SavedTimer } from "../../../db/actor-repo.ts";
import type { ErrorRecord, Json } from "../../../machines/error-code.ts";
import type { InspectorSeed } from "../inspect/inspector.ts";

/** Of the stored snapshot; others are refused. */
export const snapshotFormat = 1;

/** Which node runs an actor, and how it started it: what it takes to do so again. */
export interface ActorHome {
  readonly node: string;
  /** What `ActorHost.start` was given, but for the input. */
  readonly definition: Json;
  readonly options: Json;
}

/** What is stored as an actor's snapshot. */
export interface StoredState {
  /** Absent where whoever started it will do so again. */
  readonly home?: ActorHome;
  /** XState's persisted snapshot, encoded. */
  readonly state: Json;
  /** Newest event of each sender that it holds. */
  readonly senders: Readonly<Record<string, number>>;
  /** How many events it has sent itself. */
  readonly sent: number;
}

/** What is stored as a mail's event. */
export interface Envelope {
  /** The event, encoded. */
  readonly event: Json;
  /** Epoch ms after which nobody wants it. */
  readonly expiresMs?: number;
}

/** What a worker gets before the first frame. */
export interface FirstMessage {
  readonly incarnation: number;
  /** Its port is transferred. */
  readonly inspector?: InspectorSeed;
}

export interface StartBody {
  /** URL of JavaScript. */
  readonly module: string;
  readonly name: string;
  readonly address: string;
  readonly incarnation: number;
  readonly input: Json;
  readonly home?: ActorHome;
  readonly saved: SavedActor | null;
  readonly timers: readonly SavedTimer[];
  /** Shared memory, in a thread: the event that is being applied, and the newest one that was. */
  readonly progress?: Float64Array;
}

export interface DeliveredEvent {
  readonly seq: number;
  readonly sender: string;
  readonly senderSeq: number;
  readonly event: Json;
  /** It takes its number only. */
  readonly skip: boolean;
}

export interface CommitBody {
  readonly n: number;
  readonly saved: SavedActor;
  readonly timers: { readonly set: readonly SavedTimer[]; readonly drop: readonly string[] };
  readonly sends: readonly OutgoingMail[];
  readonly status: "active" | "done";
  /** Encoded; of a machine that is done. */
  readonly output: Json;
  readonly view?: Json;
}

export interface FailedBody {
  /** The event that it happened in; 0 for none. */
  readonly seq: number;
  readonly error: ErrorRecord;
  /** A restart would fail the same way. */
  readonly final: boolean;
}

export type Question =
  | { readonly type: "lookup"; readonly name: string }
  | { readonly type: "members"; readonly group: string };

/** To the worker, by kind of the frame. */
export interface ToWorker {
  readonly start: StartBody;
  readonly events: readonly DeliveredEvent[];
  /** The commit of this number is stored. */
  readonly committed: number;
  readonly answer: { readonly id: number; readonly addresses: readonly string[] };
  readonly stop: null;
}

/** From the worker, by kind of the frame. */
export interface FromWorker {
  readonly ready: null;
  /** Without shared memory: this event is applied next, 0 when it was. */
  readonly at: number;
  readonly commit: CommitBody;
  readonly failed: FailedBody;
  readonly ask: { readonly id: number; readonly question: Question };
  /** Everything that it applied is stored. */
  readonly stopped: null;
}

type Shape = Readonly<Record<string, (value: unknown) => boolean>>;

const isNumber = (value: unknown): boolean => typeof value === "number";
const isText = (value: unknown): boolean => typeof value === "string";
const isList = (value: unknown): boolean => Array.isArray(value);
const isAnything = (): boolean => true;
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;
const has =
  (shape: Shape) =>
  (value: unknown): boolean =>
    isRecord(value) && Object.entries(shape).every(([name, is]) => is(value[name]));

/** The parts of each frame that the parent relies on. */
const fromWorker: Readonly<Record<keyof FromWorker, (body: unknown) => boolean>> = {
  ready: isAnything,
  at: isNumber,
  commit: has({
    n: isNumber,
    saved: has({ seq: isNumber, machineId: isText, machineVersion: isText, machineHash: isText }),
    timers: has({ set: isList, drop: isList }),
    sends: (value) =>
      Array.isArray(value) &&
      value.every(has({ target: isText, senderSeq: isNumber, event: isRecord })),
    status: (value) => value === "active" || value === "done",
  }),
  failed: has({ seq: isNumber, error: has({ code: isText, message: isText }) }),
  ask: has({ id: isNumber, question: has({ type: isText }) }),
  stopped: isAnything,
};

/** Code in a worker can reach its port, so frames are checked before use. */
export function isFromWorker(kind: string, body: unknown): boolean {
  return Object.hasOwn(fromWorker, kind) && fromWorker[kind as keyof FromWorker](body);
}
