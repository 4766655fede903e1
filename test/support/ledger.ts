/**
 * What agents did to the world, as the world saw it: a process that only appends, and survives all
 * that a test kills.
 *
 * @module
 */

import { bundle, type Child, startChild } from "./child.ts";

/** One arrival of an effect. */
export interface Arrival {
  readonly workflowId: string;
  readonly task: string;
  /** The same for all attempts of a task: what a third party would deduplicate by. */
  readonly key: string;
  readonly attempt: number;
  readonly kind: "run" | "undo";
  /** Incarnation of the node that had the attempt. */
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

/** Notes an arrival; resolves when the ledger has it. */
export async function note(url: string, arrival: Omit<Arrival, "atMs">): Promise<void> {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(arrival) });
  if (!response.ok) throw new Error(`The ledger answered ${response.status}`);
}
