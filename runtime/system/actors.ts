/**
 * The live tree of actors, their statecharts, what went wrong with them, and how closely they are watched.
 *
 * @module
 */

import type { ErrorRecord, Json } from "../../machines/error-code.ts";
import type { Actor, Page } from "./requests.ts";

/** At most this many restarts in a period; beyond, the supervisor gives up. */
export interface Intensity {
  readonly maxRestarts: number;
  readonly periodMs: number;
}

export type AutoShutdown = "never" | "any_significant" | "all_significant";

/** A node of the supervision tree. */
export interface TreeView {
  readonly id: string;
  readonly kind: "supervisor" | "worker";
  readonly strategy?: "one_for_one" | "one_for_all" | "rest_for_one";
  readonly intensity?: Intensity;
  readonly autoShutdown?: AutoShutdown;
  /** Its end counts for the `autoShutdown` of its supervisor. */
  readonly significant?: boolean;
  /** Path from the root, without incarnation: `/root/agents/DIRECTOR`. */
  readonly address?: string;
  /** How its supervisor treats its end. */
  readonly restart?: "permanent" | "transient" | "temporary";
  /** Grows by one at each start; from 1. */
  readonly incarnation?: number;
  readonly status: string;
  readonly restarts: number;
  readonly lastError?: ErrorRecord | null;
  readonly children: readonly TreeView[];
}

export type ActorKind =
  | "supervisor"
  | "worker"
  /** The life of an agent as its node sees it. */
  | "agent"
  /** The actor in an agent's thread. */
  | "thread"
  | "workflow"
  | "task"
  /** An actor that another actor has spawned. */
  | "actor"
  /** An actor in a worker of its own, reached over the event channel. */
  | "remote";

/** One actor of the live tree. A figure that nothing measures is absent. */
export interface ActorView {
  /** `/root/agents/DIRECTOR`. */
  readonly address: string;
  readonly id: string;
  readonly kind: ActorKind;
  readonly strategy?: "one_for_one" | "one_for_all" | "rest_for_one";
  readonly intensity?: Intensity;
  readonly autoShutdown?: AutoShutdown;
  readonly restart?: "permanent" | "transient" | "temporary";
  readonly significant?: boolean;
  readonly status: string;
  readonly health?: "healthy" | "unhealthy" | "unknown";
  readonly restarts: number;
  readonly incarnation?: number;
  /** Messages that wait for it. */
  readonly mailbox?: number;
  /** Delayed events of a durable actor that are stored. */
  readonly timers?: number;
  /** Thread id, or process id. */
  readonly threadId?: number;
  /** CPU time so far, in ms. */
  readonly cpuMs?: number;
  /** Heap in use, in bytes. */
  readonly heapBytes?: number;
  /** Buffers outside of the heap, in bytes. */
  readonly bufferBytes?: number;
  /** Newest delay of its event loop, in ms. */
  readonly lagMs?: number;
  /** Id of its statechart: `supervisor`, `agent`, `phase1`; absent where it is none. */
  readonly machineId?: string;
  readonly lastError?: ErrorRecord;
  readonly children: readonly ActorView[];
}

export interface MachineTransition {
  readonly event: string;
  /** Ids of the target states; none for a transition that only acts. */
  readonly targets: readonly string[];
  /** Name of the guard; `inline` for one without. */
  readonly guard?: string;
  readonly actions: readonly string[];
}

export interface MachineState {
  /** `phase1.week1`. */
  readonly id: string;
  readonly key: string;
  readonly type: "atomic" | "compound" | "parallel" | "final" | "history";
  readonly initial?: string;
  readonly active: boolean;
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  readonly invokes: readonly { readonly id: string; readonly src: string }[];
  readonly transitions: readonly MachineTransition[];
  readonly states: readonly MachineState[];
}

/** The statechart of an actor, as it is now. */
export interface MachineView {
  readonly address: string;
  readonly machineId: string;
  /** State value as XState writes it; null where the actor's thread does not tell. */
  readonly value: Json;
  readonly status: string;
  readonly root: MachineState;
  /** The machine's config as JSON: what Stately's tools read. Functions are `{ "type": NAME }`. */
  readonly definition: Json;
  /** The newest transitions that were inspected, oldest first; empty while inspection is off. */
  readonly transitions: readonly InspectedTransition[];
}

export type InspectionMode = "off" | "sampled" | "lossless";

/** An actor took one event. Payloads are redacted and cut. */
export interface InspectedTransition {
  readonly address: string;
  /** `<address>#<n>/<sessionId>`: unique over threads and their incarnations. */
  readonly session: string;
  /** Per session, from 1; a hole means frames that were sampled away or dropped. */
  readonly seq: number;
  readonly at: string;
  readonly event: Json;
  readonly from: Json;
  readonly to: Json;
  readonly status: string;
  readonly actions: readonly string[];
  /** Event types of the microsteps. */
  readonly microsteps: readonly string[];
  /** Session of the actor that sent the event, where one did. */
  readonly source?: string;
}

export interface InspectionStatus {
  readonly mode: InspectionMode;
  /** Actors whose mode differs, by address. */
  readonly actors: Readonly<Record<string, InspectionMode>>;
  readonly threads: number;
  readonly frames: number;
  /** Frames that no buffer had room for. */
  readonly dropped: number;
  /** Where a receiver of Stately's protocol connects; null while the bridge is off. */
  readonly bridge: string | null;
}

export interface IncidentView {
  readonly id: number;
  readonly at: string;
  readonly node: string;
  readonly address: string;
  readonly incarnation: number;
  readonly kind: string;
  readonly action: string;
  readonly error: ErrorRecord | null;
  readonly detail: Json;
}

export interface DeadLetterView {
  readonly id: number;
  readonly at: string;
  readonly node: string;
  readonly sender: string | null;
  readonly target: string;
  readonly reason: string;
  /** Redacted. */
  readonly event: Json;
}

export interface ActorsPort {
  /** The whole tree of this node. */
  tree(): Promise<ActorView>;
  get(address: string): Promise<ActorView | undefined>;
  /** Undefined for an actor that does not exist or is no statechart. */
  machine(address: string): Promise<MachineView | undefined>;
  /** Newest first. */
  incidents(query: {
    address?: string;
    cursor?: string;
    limit?: number;
  }): Promise<Page<IncidentView>>;
  /** Newest first. */
  deadLetters(query: {
    target?: string;
    cursor?: string;
    limit?: number;
  }): Promise<Page<DeadLetterView>>;
  /** Sends it again and removes it. @throws {RequestError} `NOT_FOUND`, or `CONFLICT` where nobody would get it. */
  replayDeadLetter(id: number, by: Actor): Promise<DeadLetterView>;
  inspection(): InspectionStatus;
  /** For all actors, or for one. @throws {RequestError} `NOT_FOUND`. */
  inspect(mode: InspectionMode, address: string | undefined, by: Actor): InspectionStatus;
}
