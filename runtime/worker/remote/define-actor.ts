/**
 * How a remote actor is written: a machine, a version of it, and where its module is.
 * The parent reads the data; the machine runs in the actor's own worker.
 *
 * @module
 */

import type { AnyMachineSnapshot, AnyStateMachine } from "xstate";
import type { Permissions } from "../../../actors/define-agent.ts";
import type { TimerPolicy } from "../../../db/actor-repo.ts";
import type { Json } from "../../../machines/error-code.ts";
import type { Isolation } from "../web/carrier.ts";

/** What a stored snapshot was made by. */
export interface MachineIdentity {
  readonly id: string;
  readonly version: string;
  /** Of its state nodes and what they invoke. */
  readonly hash: string;
}

export interface ActorDefinition {
  /** Letters, digits, `.`, `_` and `-`; the last part of the address. */
  readonly name: string;
  /** `import.meta.url` of the module that exports this definition: the worker imports it. */
  readonly module: string;
  readonly machine: AnyStateMachine;
  /** Change it when stored snapshots mean something else; then `migrate` decides. */
  readonly version: string;
  /** What the parent may see of the context, as JSON. Runs in the worker after each commit. */
  view?(snapshot: AnyMachineSnapshot): Json;
  /** Default: none. */
  readonly permissions?: Permissions;
  /** Default `thread`. */
  readonly isolation?: Isolation;
  /**
   * What a restart means for delayed events: one policy for all, or by the timer's id, the id of
   * its state, or the name of its delay. Default `deadline`: it fires at the same moment.
   */
  readonly timers?: TimerPolicy | Readonly<Record<string, TimerPolicy>>;
  /** Turns the snapshot of another version into one of this; throws to refuse. Its timers are kept where their actors are. */
  migrate?(from: MachineIdentity, snapshot: unknown): unknown;
}

/** What the parent needs to know of a definition; the machine stays in the worker. */
export type ActorReference = Pick<ActorDefinition, "name" | "module" | "permissions" | "isolation">;

/** Checks and returns the definition. @throws {TypeError} When a field is malformed. */
export function defineActor(definition: ActorDefinition): ActorDefinition {
  const { name, module, version } = definition;
  if (!/^[A-Za-z0-9][\w.-]*$/.test(name)) {
    throw new TypeError(
      `Cannot define actor "${name}": a name is letters, digits, ".", "_" and "-"`,
    );
  }
  if (version === "") throw new TypeError(`Cannot define actor "${name}": its version is empty`);
  if (!URL.canParse(module)) {
    throw new TypeError(
      `Cannot define actor "${name}": module is "${module}", must be import.meta.url`,
    );
  }
  return definition;
}

/** The policy of one timer of this actor. */
export function timerPolicy(definition: Pick<ActorDefinition, "timers">, id: string): TimerPolicy {
  const { timers = "deadline" } = definition;
  if (typeof timers === "string") return timers;
  // An `after` of XState: `xstate.after.<delay or its name>.<id of the state>`.
  const [, delay = "", state = ""] = /^xstate\.after\.([^.]*)\.(.*)$/s.exec(id) ?? [];
  return timers[id] ?? timers[state] ?? timers[delay] ?? "deadline";
}
