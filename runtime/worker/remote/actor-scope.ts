/**
 * What the code of a remote actor may ask of the system that runs it: send by address, look up names.
 *
 * @module
 */

import type { AnyEventObject } from "xstate";
import { AgentError } from "../../../machines/error-code.ts";

export interface ActorScope {
  /** `/root/actors/COUNTER#3`. */
  readonly address: string;
  tell(target: string, event: AnyEventObject): void;
  lookup(name: string): Promise<string | undefined>;
  members(group: string): Promise<readonly string[]>;
}

/** On the global object: a module that was bundled with its own copy of this file finds it too. */
const key = Symbol.for("spectra.actor-scope");

/** Called once, by the worker before it imports the actor's module. */
export function installActorScope(scope: ActorScope): void {
  Object.defineProperty(globalThis, key, { value: scope, configurable: true });
}

function scope(): ActorScope {
  const found = (globalThis as { [key]?: ActorScope })[key];
  if (found !== undefined) return found;
  throw new AgentError(
    "NOT_AN_ACTOR",
    "Cannot reach the actor system: this code does not run in the worker of a remote actor",
  );
}

/** The address of the actor whose worker this is, with its incarnation. */
export function ownAddress(): string {
  return scope().address;
}

/**
 * Sends an event to another actor by its address. It leaves with the commit of what this actor
 * does now: exactly when that is stored, and once. Nobody there: a dead letter.
 */
export function tell(target: string, event: AnyEventObject): void {
  scope().tell(target, event);
}

/** The address of the actor that is registered under a name. */
export function lookup(name: string): Promise<string | undefined> {
  return scope().lookup(name);
}

/** The addresses of a group's members. */
export function members(group: string): Promise<readonly string[]> {
  return scope().members(group);
}
