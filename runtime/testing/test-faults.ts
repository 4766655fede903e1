/**
 * What a test wants to go wrong: attempts that fail, and attempts whose thread or node dies.
 *
 * @module
 */

import type { ErrorRecord } from "../../machines/error-code.ts";
import type { VirtualCall } from "../../machines/virtual/virtual-run.ts";

export interface FaultOptions {
  /** Attempts that it happens to. Default 1. */
  readonly times?: number;
  /** Happens to the attempt that undoes the task instead. Default false. */
  readonly undo?: boolean;
}

export interface KillOptions extends FaultOptions {
  /**
   * `thread` (default): the agent's thread dies, which counts as a failure, and after three the task
   * is given up. `node`: the whole process dies, which does not count.
   */
  readonly what?: "thread" | "node";
  /** Whether the action has run by then: `after` (default), so that its work is done twice; or `before`. */
  readonly when?: "before" | "after";
}

export type Fault =
  | { readonly type: "fail"; readonly error: ErrorRecord }
  | { readonly type: "kill"; readonly what: "thread" | "node"; readonly when: "before" | "after" };

export interface Faults {
  /** @param where `AGENT.action`, the key of a task, or the key of one instance: `render[3]`. */
  plan(where: string, fault: Fault, options: FaultOptions): void;
  /** The oldest fault that is meant for this attempt. */
  take(call: VirtualCall): Fault | undefined;
}

interface Planned {
  readonly where: string;
  readonly fault: Fault;
  readonly undo: boolean;
  left: number;
}

export function createFaults(): Faults {
  const planned: Planned[] = [];
  return {
    plan: (where, fault, { times = 1, undo = false }) => {
      planned.push({ where, fault, undo, left: times });
    },
    take: (call) => {
      const names = new Set([`${call.agent}.${call.action}`, call.plan, call.taskKey]);
      const found = planned.find((one) => names.has(one.where) && one.undo === call.undo);
      if (found === undefined) return undefined;
      found.left -= 1;
      if (found.left <= 0) planned.splice(planned.indexOf(found), 1);
      return found.fault;
    },
  };
}
