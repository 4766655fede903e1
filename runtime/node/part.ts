/**
 * Where the parts of a node find each other. A part that its supervisor restarts is another object
 * afterwards, so whoever uses one asks for it each time and keeps none.
 *
 * @module
 */

import { createDeferred } from "../../machines/deferred.ts";
import { AgentError } from "../../machines/error-code.ts";

export interface Part<T> {
  /** What was started last; while it restarts, calls to it fail in its own words. @throws {AgentError} `PART_DOWN`, retryable, before its first start. */
  current(): T;
  isUp(): boolean;
  /** Resolves with the first one. */
  readonly whenUp: Promise<T>;
  set(value: T): void;
}

/** @param name For people: `database`. */
export function createPart<T>(name: string): Part<T> {
  let held: { readonly value: T } | undefined;
  const first = createDeferred<T>();
  return {
    current: () => {
      if (held !== undefined) return held.value;
      const message = `Cannot use the ${name}: it has not started yet; try again in a moment`;
      throw new AgentError("PART_DOWN", message, { retryable: true });
    },
    whenUp: first.promise,
    isUp: () => held !== undefined,
    set: (value) => {
      held = { value };
      first.resolve(value);
    },
  };
}
