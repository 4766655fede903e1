/**
 * Bench of what crosses between two threads: events on our frames, calls on hardened Comlink,
 * each against the raw limit in the same run.
 *
 * @module
 */

import { type Figure, median } from "../figure.ts";
import { callUs, openRawThread } from "./raw.ts";

const trips = 5_000;
const burst = 200_000;

export async function benchEvents(runs: number): Promise<Figure[]> {
  await using thread = await openRawThread();
  const calls = await paired(
    runs,
    () => callUs(thread.comlink, trips),
    () => callUs(thread.hardened.api, trips),
  );
  const roundTrip = await paired(
    runs,
    () => thread.raw.roundTripUs(trips),
    () => thread.frames.roundTripUs(trips),
  );
  const oneWay = await paired(
    runs,
    () => thread.raw.perSecond(burst),
    () => thread.frames.perSecond(burst),
  );
  return [
    {
      name: "event round trip on our frames against a raw MessagePort",
      values: roundTrip.ratios,
      unit: "×",
      goal: { atMost: 1.3 },
      raw: { name: "one raw round trip, µs", value: roundTrip.raw },
    },
    {
      name: "events one way on our frames against raw messages",
      values: oneWay.ratios,
      unit: "×",
      goal: { atLeast: 0.5 },
      raw: { name: "raw messages per second", value: oneWay.raw },
    },
    {
      name: "control call against bare Comlink",
      values: calls.ratios,
      unit: "×",
      goal: { atMost: 1.2 },
      raw: { name: "one bare Comlink call, µs", value: calls.raw },
    },
  ];
}

/** Ours divided by raw, measured in turns so that both see the same machine; the first pair warms up. */
async function paired(
  runs: number,
  raw: () => Promise<number>,
  ours: () => Promise<number>,
): Promise<{ readonly ratios: number[]; readonly raw: number }> {
  const rawValues: number[] = [];
  const ratios: number[] = [];
  for (let run = 0; run <= runs; run += 1) {
    const rawValue = await raw();
    const ratio = (await ours()) / rawValue;
    if (run === 0) continue;
    rawValues.push(rawValue);
    ratios.push(ratio);
  }
  return { ratios, raw: median(rawValues) };
}
