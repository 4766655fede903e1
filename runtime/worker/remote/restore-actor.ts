/**
 * Starts a machine from its stored snapshot, or refuses: what XState would drop silently is an error here.
 *
 * @module
 */

import { type Actor, type AnyStateMachine, createActor } from "xstate";
import type { SavedActor } from "../../../db/actor-repo.ts";
import { AgentError, type Json, toErrorRecord } from "../../../machines/error-code.ts";
import { type StoredState, snapshotFormat } from "./actor-protocol.ts";
import type { ActorDefinition, MachineIdentity } from "./define-actor.ts";
import { decodeValue } from "./snapshot-codec.ts";
import {
  limitMicrosteps,
  longClock,
  machineHash,
  refuseInlineInvokes,
  unknownChildren,
} from "./xstate-adapter.ts";

export interface RestoredActor {
  /** Not started. */
  readonly actor: Actor<AnyStateMachine>;
  readonly identity: MachineIdentity;
  readonly stored: StoredState | undefined;
  readonly migrated: boolean;
}

/** Codes of errors that a restart would only repeat. */
export const finalCodes: ReadonlySet<string> = new Set([
  "ACTOR_NOT_DURABLE",
  "ACTOR_UNKNOWN",
  "SNAPSHOT_CHILD_UNKNOWN",
  "SNAPSHOT_FORMAT",
  "SNAPSHOT_MACHINE_CHANGED",
  "SNAPSHOT_NOT_RESTORED",
  "SNAPSHOT_STALE",
  "SNAPSHOT_STOPPED",
]);

/** @throws {AgentError} One of `finalCodes`. */
export function restoreActor(
  definition: ActorDefinition,
  saved: SavedActor | null,
  input: Json,
): RestoredActor {
  const { machine } = definition;
  limitMicrosteps(machine);
  refuseInlineInvokes(machine);
  const identity = {
    id: machine.id,
    version: definition.version,
    hash: machineHash(machine),
  };
  if (saved === null) {
    const actor = createActor(machine, { input: decodeValue(input), clock: longClock });
    return { actor, identity, stored: undefined, migrated: false };
  }
  const stored = storedState(definition.name, saved);
  const found = decodeValue(stored.state);
  const migrated = isChanged(saved, identity);
  const snapshot = migrated ? migrate(definition, saved, identity, found) : found;
  refuseUnrestorable(definition, snapshot);
  return { actor: fromSnapshot(definition, snapshot), identity, stored, migrated };
}

function fromSnapshot(
  { name, machine }: ActorDefinition,
  snapshot: unknown,
): Actor<AnyStateMachine> {
  try {
    const actor = createActor(machine, { snapshot: snapshot as never, clock: longClock });
    const { status, error } = actor.getSnapshot();
    if (status !== "error") return actor;
    throw error;
  } catch (error) {
    const message = `the machine does not take it: ${toErrorRecord(error).message}`;
    throw refused("SNAPSHOT_NOT_RESTORED", name, message, error);
  }
}

function storedState(name: string, saved: SavedActor): StoredState {
  const { snapshot, format } = saved;
  const isObject = typeof snapshot === "object" && snapshot !== null && "state" in snapshot;
  if (format === snapshotFormat && isObject) return snapshot as unknown as StoredState;
  const why = `it is of format ${format}, this version reads ${snapshotFormat}`;
  throw refused("SNAPSHOT_FORMAT", name, why);
}

function isChanged(saved: SavedActor, { id, version, hash }: MachineIdentity): boolean {
  return saved.machineId !== id || saved.machineVersion !== version || saved.machineHash !== hash;
}

function migrate(
  definition: ActorDefinition,
  saved: SavedActor,
  to: MachineIdentity,
  snapshot: unknown,
): unknown {
  const from = {
    id: saved.machineId,
    version: saved.machineVersion,
    hash: saved.machineHash,
  };
  if (definition.migrate !== undefined) {
    try {
      return definition.migrate(from, snapshot);
    } catch (error) {
      const why = `migrate() from version "${from.version}" failed: ${toErrorRecord(error).message}`;
      throw refused("SNAPSHOT_NOT_RESTORED", definition.name, why, error);
    }
  }
  const why =
    from.version === to.version && from.id === to.id
      ? `the states of its machine changed under the same version "${to.version}"`
      : `it is of machine "${from.id}" version "${from.version}", this is "${to.id}" version "${to.version}"`;
  throw refused("SNAPSHOT_MACHINE_CHANGED", definition.name, `${why}, and there is no migrate()`);
}

function refuseUnrestorable({ name, machine }: ActorDefinition, snapshot: unknown): void {
  const { status } = (snapshot ?? {}) as { status?: unknown };
  if (status === "stopped" || status === "error") {
    throw refused("SNAPSHOT_STOPPED", name, `it is of an actor that had ended: ${status}`);
  }
  const unknown = unknownChildren(machine, snapshot);
  if (unknown.length > 0) {
    const why = `its machine does not know the logic of ${unknown.join(", ")}`;
    throw refused("SNAPSHOT_CHILD_UNKNOWN", name, why);
  }
}

function refused(code: string, name: string, why: string, cause?: unknown): AgentError {
  return new AgentError(code, `Cannot restore actor "${name}" from its snapshot: ${why}`, {
    cause,
  });
}
