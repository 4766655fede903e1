/**
 * Counts the threads that die of the same request over the bus. Tasks have their count in the database.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { AgentCall } from "../../../actors/ports.ts";
import type { ErrorRecord } from "../../../machines/error-code.ts";
import { deathLimit, poisoned } from "../../../machines/poison.ts";

/** Requests remembered at once; the one that was quiet for longest goes first. */
const rememberedRequests = 1_000;

export interface Quarantine {
  /** Why the request is not run any more. */
  refusal(call: AgentCall): ErrorRecord | undefined;
  deaths(call: AgentCall): number;
  /** True when this death was the last that is allowed. */
  died(call: AgentCall, error: ErrorRecord): boolean;
  ended(call: AgentCall): void;
  reset(): void;
}

export function createQuarantine(): Quarantine {
  const known = new Map<string, { readonly deaths: number; readonly error: ErrorRecord }>();
  return {
    refusal: (call) => {
      const entry = known.size === 0 ? undefined : known.get(keyOf(call));
      if (entry === undefined || entry.deaths < deathLimit) return undefined;
      return poisoned(`${call.agent}.${call.action} with this input`, entry.error);
    },
    deaths: (call) => (known.size === 0 ? 0 : (known.get(keyOf(call))?.deaths ?? 0)),
    died: (call, error) => {
      const key = keyOf(call);
      const deaths = (known.get(key)?.deaths ?? 0) + 1;
      known.delete(key);
      known.set(key, { deaths, error });
      const [oldest] = known.keys();
      if (known.size > rememberedRequests && oldest !== undefined) known.delete(oldest);
      return deaths === deathLimit;
    },
    ended: (call) => {
      if (known.size > 0) known.delete(keyOf(call));
    },
    reset: () => known.clear(),
  };
}

function keyOf({ action, input }: AgentCall): string {
  return createHash("sha256")
    .update(`${action}\n${JSON.stringify(input)}`)
    .digest("base64");
}
