/**
 * What agents did to the world, as the world saw it: a process that only appends, and survives all
 * that a test kills.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { bundle, type Child, startChild } from "./child.ts";

/** How often a note is sent again. */
const sendingLimit = 20;

/** One arrival of an effect. */
export interface Arrival {
  readonly workflowId: string;
  readonly task: string;
  /** The same for all attempts of a task: what a third party would deduplicate by. */
  readonly key: string;
  readonly attempt: number;
  readonly kind: "run" | "undo";
  /** Process that had the attempt: `node-a#4711`. */
  readonly by: string;
  /** Epoch milliseconds of the ledger. */
  readonly atMs: number;
}

export interface Ledger extends AsyncDisposable {
  /** Takes `POST` of an arrival; the answer means that it is noted. */
  readonly url: string;
  arrivals(): Promise<readonly Arrival[]>;
}

export async function startLedger(): Promise<Ledger> {
  const child: Child = startChild(await bundle("support/programs/ledger.ts"), []);
  const { url } = (await child.next()) as { readonly url: string };
  return {
    url,
    arrivals: async () => (await (await fetch(url)).json()) as Arrival[],
    [Symbol.asyncDispose]: async () => {
      process.kill(child.pid, "SIGKILL");
      await child.ended;
    },
  };
}

/**
 * Notes an arrival once; resolves when the ledger has it. A connection that ends under a request says
 * nothing about whether it arrived, so it is sent again under the same id.
 */
export async function note(url: string, arrival: Omit<Arrival, "atMs">): Promise<void> {
  const id = randomUUID();
  const body = JSON.stringify(arrival);
  for (let left = sendingLimit; ; left -= 1) {
    try {
      const response = await fetch(new URL(id, url), { method: "PUT", body });
      if (!response.ok) throw new Error(`The ledger answered ${response.status}`);
      return;
    } catch (error) {
      if (left === 0) throw error;
      await sleep(100);
    }
  }
}
