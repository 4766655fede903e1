/**
 * What a start does when as many runs of its key are open as may be.
 *
 * @module
 */

import type { WhenFull } from "./flow-options.ts";

/** The pool that runs of a definition and key share. */
export const runPool = (workflow: string, key: string): string => `run/${workflow}/${key}`;

/** Open runs of the key, oldest first. */
export interface OpenRuns {
  readonly started: readonly string[];
  readonly queued: readonly string[];
}

export type StartDecision =
  | { readonly type: "start" }
  /** Wait; `cancel` first ends these, so that the wait is short. */
  | { readonly type: "queue"; readonly cancel: readonly string[] }
  | { readonly type: "skip"; readonly instead: string }
  | { readonly type: "reject"; readonly open: readonly string[] };

/** @param limit From 1. */
export function decideStart(open: OpenRuns, limit: number, whenFull: WhenFull): StartDecision {
  const { started, queued } = open;
  // Who comes while others queue does not overtake them.
  if (started.length < limit && queued.length === 0) return { type: "start" };
  const newest = queued.at(-1) ?? started.at(-1);
  switch (whenFull) {
    case "queue":
      return { type: "queue", cancel: [] };
    case "skip":
      // Unless the limit is nothing at all, somebody is open.
      return newest === undefined
        ? { type: "queue", cancel: [] }
        : { type: "skip", instead: newest };
    case "reject":
      return { type: "reject", open: [...started, ...queued] };
    case "replace": {
      const tooMany = Math.max(0, started.length - limit + 1);
      return { type: "queue", cancel: [...started.slice(0, tooMany), ...queued] };
    }
    default:
      return whenFull satisfies never;
  }
}
