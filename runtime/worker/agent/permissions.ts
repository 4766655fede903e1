/**
 * What an agent's permissions mean for its thread, and how strongly each holds.
 *
 * @module
 */

import type { Grant, Permissions } from "../../../actors/define-agent.ts";

/** `soft`: a guard against mistakes that code can get around. `none`: declared only. */
export type Enforcement = "none" | "soft" | "hard";

/**
 * How strongly each permission holds in a thread on this Node version.
 * `env`: the thread gets a filtered copy, but could read `/proc/self/environ`.
 */
export function enforcement(): Readonly<Record<keyof Permissions, Enforcement>> {
  return {
    read: "none",
    write: "none",
    net: "none",
    env: "soft",
    sys: "none",
    run: "none",
    ffi: "none",
    import: "none",
  };
}

export type Env = Readonly<Record<string, string | undefined>>;

/** The variables that `grant` gives from `env`; none without a grant. */
export function grantedEnv(grant: Grant | undefined, env: Env): Record<string, string> {
  if (grant === undefined || grant === false) return {};
  const isGranted = (name: string): boolean =>
    grant === true || grant === "inherit" || grant.includes(name);
  const granted: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && isGranted(name)) granted[name] = value;
  }
  return granted;
}

/** Machines with this much memory give agents their full budget; smaller ones a share. */
const fullMemoryMb = 16_384;
/** Less makes V8 give up before an agent has loaded its own modules and a batch of data. */
const minimumHeapMb = 256;

/** Limit of a thread's old generation: the agent's budget, scaled to the machine. */
export function heapLimitMb(memoryMb: number, machineMemoryMb: number): number {
  const share = Math.min(1, machineMemoryMb / fullMemoryMb);
  return Math.max(minimumHeapMb, Math.round(memoryMb * share));
}
