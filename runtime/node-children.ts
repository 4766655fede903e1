/**
 * Children of a node's supervision tree that wrap something which is no actor itself.
 *
 * @module
 */

import type { RunningChild } from "../actors/tree/child-spec.ts";
import { createDeferred } from "../machines/deferred.ts";

/** A child that only ends when it is told to. */
export function untilStopped(stop: () => Promise<void> | void): RunningChild {
  const exited = createDeferred<{ type: "normal" }>();
  return {
    exited: exited.promise,
    stop: async () => {
      // What cannot be closed is gone all the same: its successor opens its own.
      await Promise.resolve(stop()).finally(() => exited.resolve({ type: "normal" }));
    },
  };
}
