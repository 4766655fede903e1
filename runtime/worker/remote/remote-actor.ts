/**
 * A remote actor as XState logic: `createActor(remoteActor(…))`, or invoked and spawned by a machine.
 *
 * The parent sees the life of the actor, not its state: status, output, error, address, incarnation,
 * numbers; of the context only what its `view` shows.
 *
 * @module
 */

import type { ActorLogic, AnyActorRef, AnyEventObject, Snapshot } from "xstate";
import { type ErrorRecord, type Json, toErrorRecord } from "../../../machines/error-code.ts";
import { reviveError } from "../call/wire-error.ts";
import { compiledUrl } from "../thread-url.ts";
import type { ActorSource } from "./actor-worker.ts";
import type { ActorReference } from "./define-actor.ts";
import {
  createRemote,
  type RemoteHandle,
  type RemoteOptions,
  type RemotePhase,
  type RemoteState,
  type RemoteSystem,
} from "./remote-handle.ts";
import { decodeValue, encodeValue } from "./snapshot-codec.ts";
import { sendToSelf } from "./xstate-adapter.ts";

export type RemoteActorOptions = Omit<RemoteOptions, "input" | "expectSeq">;

export type RemoteSnapshot = Snapshot<unknown> & {
  readonly address: string;
  readonly phase: RemotePhase;
  readonly incarnation: number;
  readonly restarts: number;
  /** Why its worker last ended abnormally. */
  readonly lastError: ErrorRecord | null;
  /** Newest event in the mailbox; events sent since are on their way there. */
  readonly seq: number;
  /** Newest event whose effect is stored. */
  readonly ackedSeq: number;
  /** Delayed events that are stored. */
  readonly timers: number;
  /** Thread or process id. */
  readonly workerId?: number;
  readonly view?: unknown;
  /** Of the machine in the worker. */
  readonly input?: unknown;
};

export type RemoteActorLogic = ActorLogic<RemoteSnapshot, AnyEventObject, unknown>;

const changed = "spectra.remote.changed";
const handles = new WeakMap<AnyActorRef, RemoteHandle>();

/** The input of the actor is the input of its machine. A failed actor is an error, told once. */
export function remoteActor(
  definition: ActorReference,
  options: RemoteActorOptions,
  system: RemoteSystem,
): RemoteActorLogic {
  const { address } = options;
  return {
    config: { address, actor: definition.name },
    getInitialSnapshot: (_, input) => ({
      status: "active",
      output: undefined,
      error: undefined,
      address,
      phase: "starting",
      incarnation: 0,
      restarts: 0,
      lastError: null,
      seq: 0,
      ackedSeq: 0,
      timers: 0,
      input,
    }),
    getPersistedSnapshot: (snapshot) => {
      const { error, output, address, phase, incarnation, restarts, lastError, seq } =
        snapshot as RemoteSnapshot;
      const { ackedSeq, input, timers } = snapshot as RemoteSnapshot;
      return {
        status: snapshot.status,
        address,
        phase,
        incarnation,
        restarts,
        lastError,
        seq,
        ackedSeq,
        timers,
        input: encodeValue(input),
        output: encodeValue(output),
        error: error === undefined ? undefined : toErrorRecord(error),
      } as unknown as Snapshot<unknown>;
    },
    restoreSnapshot: (persisted) => {
      const snapshot = persisted as unknown as RemoteSnapshot;
      const { error, input, output } = persisted as unknown as {
        error?: ErrorRecord;
        input: Json;
        output: Json;
      };
      return {
        ...snapshot,
        input: decodeValue(input),
        output: decodeValue(output),
        error: error === undefined ? undefined : reviveError(error),
      } as RemoteSnapshot;
    },
    start: (snapshot, { self }) => {
      if (snapshot.status !== "active") return;
      const handle = createRemote(
        sourceOf(definition),
        { ...options, input: encodeValue(snapshot.input), expectSeq: snapshot.ackedSeq },
        system,
        (state) => {
          // The last word of a handle comes after a stop, too.
          if (self.getSnapshot().status === "active") sendToSelf(self, { type: changed, state });
        },
      );
      handles.set(self, handle);
      void handle.start();
    },
    transition: (snapshot, event, { self }) => {
      if (snapshot.status !== "active") return snapshot;
      if (event.type === changed) return nextSnapshot(snapshot, event["state"] as RemoteState);
      const handle = handles.get(self);
      if (event.type === "xstate.stop") {
        void handle?.stop();
        return { ...snapshot, status: "stopped", phase: "stopped" } as RemoteSnapshot;
      }
      // Refused events are dead letters; whoever wants to know sends through the registry.
      Promise.resolve()
        .then(() => handle?.send(encodeOrBury(event, address, system)))
        .catch((error: unknown) => {
          system.log.debug("actor.refused", { address, event: event.type, error: String(error) });
        });
      return snapshot;
    },
  };
}

/** What holds the worker of a running remote actor. */
export function handleOf(actor: AnyActorRef): RemoteHandle | undefined {
  return handles.get(actor);
}

function nextSnapshot(snapshot: RemoteSnapshot, state: RemoteState): RemoteSnapshot {
  const { phase, output, error, ...rest } = state;
  const next = { ...snapshot, ...rest, phase };
  switch (phase) {
    case "done":
      return { ...next, status: "done", output } as RemoteSnapshot;
    case "failed":
      return {
        ...next,
        status: "error",
        error: error === undefined ? new Error("failed") : reviveError(error),
      } as RemoteSnapshot;
    case "stopped":
      return { ...next, status: "stopped" } as RemoteSnapshot;
    case "starting":
    case "running":
    case "restarting":
      return next as RemoteSnapshot;
  }
}

function sourceOf({ name, module, permissions, isolation }: ActorReference): ActorSource {
  return {
    name,
    module: compiledUrl(module),
    ...(permissions === undefined ? {} : { permissions }),
    ...(isolation === undefined ? {} : { isolation }),
  };
}

/** Encodes an event for a mailbox. @throws {AgentError} `NOT_STORABLE`; it is a dead letter then. */
export function encodeOrBury(
  event: AnyEventObject,
  target: string,
  { deadLetters }: Pick<RemoteSystem, "deadLetters">,
): ReturnType<typeof encodeValue> {
  try {
    return encodeValue(event);
  } catch (error) {
    const letter = { type: String(event.type) };
    deadLetters.add({ sender: null, target, reason: "not-cloneable", event: letter });
    throw error;
  }
}
