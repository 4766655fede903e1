/**
 * Bench of what crosses between two threads: events on our frames, calls on hardened Comlink,
 * each against the raw limit in the same run.
 *
 * @module
 */

import type { Figure } from "../figure.ts";
import { callUs, openRawThread } from "./raw.ts";

const calls = 5_000;

export async function benchEvents(runs: number): Promise<Figure[]> {
  await using thread = await openRawThread();
  const ratios: number[] = [];
  let bareUs = 0;
  for (let run = 0; run < runs; run += 1) {
    // The first of each pair warms up the loop of both.
    await callUs(thread.comlink, 500);
    bareUs = await callUs(thread.comlink, calls);
    await callUs(thread.hardened.api, 500);
    ratios.push((await callUs(thread.hardened.api, calls)) / bareUs);
  }
  return [
    {
      name: "control call against bare Comlink",
      values: ratios,
      unit: "×",
      goal: { atMost: 1.2 },
      raw: { name: "one bare Comlink call, µs", value: bareUs },
    },
  ];
}
