/**
 * Inspection over real threads: nothing lost, nothing mixed up, nothing left behind.
 *
 * @module
 */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import type { TransitionFrame } from "../../../../runtime/worker/inspect/frames.ts";
import { createInspectionHub, type InspectionHub } from "../../../../runtime/worker/inspect/hub.ts";
import { compiledUrl } from "../../../../runtime/worker/thread-url.ts";
import { ensureBuilt } from "../../../support/build.ts";

const entry = new URL(
  compiledUrl(new URL("../../../support/agents/inspected-thread.ts", import.meta.url)),
);
const workers: Worker[] = [];
let hub: InspectionHub;

beforeAll(ensureBuilt, 180_000);

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
  hub.close();
});

function openHub(): TransitionFrame[] {
  hub = createInspectionHub({ onError: (message) => expect.fail(message) });
  const seen: TransitionFrame[] = [];
  hub.subscribe((frame) => {
    if (frame.type === "transition") seen.push(frame.transition);
  });
  return seen;
}

async function startThread(address: string): Promise<{ worker: Worker; close(): void }> {
  const { seed, close } = hub.openThread();
  const worker = new Worker(entry, { workerData: { seed, address }, transferList: [seed.port] });
  workers.push(worker);
  await once(worker, "message");
  return { worker, close };
}

async function tell(worker: Worker, count: number): Promise<void> {
  worker.postMessage(count);
  await once(worker, "message");
}

test("lossless: 20,000 events in two threads arrive complete, in order, and told apart", async () => {
  const seen = openHub();
  hub.setMode("lossless");
  const [a, b] = await Promise.all([startThread("/root/a"), startThread("/root/b")]);
  await Promise.all([tell(a.worker, 10_000), tell(b.worker, 10_000)]);
  // The start itself is the first of each.
  await vi.waitFor(() => expect(seen).toHaveLength(20_002), 30_000);
  for (const address of ["/root/a", "/root/b"]) {
    const own = seen.filter((frame) => frame.address === address);
    expect(own.map(({ seq }) => seq)).toEqual(Array.from({ length: 10_001 }, (_, n) => n + 1));
    expect(new Set(own.map(({ session }) => session)).size).toBe(1);
    expect(own.every(({ to }, n) => to === (n % 2 === 0 ? "red" : "green"))).toBe(true);
  }
  expect(new Set(seen.map(({ session }) => session)).size).toBe(2);
  expect(JSON.stringify(seen)).not.toContain("hunter2");
  expect(hub.figures()).toMatchObject({ threads: 3, dropped: 0 });
}, 60_000);

test("an actor in a thread can be switched on, looked at, and is forgotten with its thread", async () => {
  const seen = openHub();
  const { worker, close } = await startThread("/root/light");
  await tell(worker, 3);
  const { session = "" } = hub.find("/root/light") ?? {};
  expect(await hub.look(session)).toEqual({ status: "active", value: "green" });
  expect(hub.find("/root/light")?.chart?.states.map(({ key }) => key)).toEqual(["red", "green"]);
  expect(seen).toEqual([]);
  hub.setMode("lossless", "/root/light");
  // The event travels on another port: this answer comes after the mode has arrived.
  await hub.look(session);
  await tell(worker, 1);
  await vi.waitFor(
    () => expect(seen).toMatchObject([{ seq: 1, from: "green", to: "red" }]),
    10_000,
  );
  await worker.terminate();
  await vi.waitFor(() => expect(hub.find("/root/light")).toBeUndefined(), 10_000);
  expect(hub.figures().threads).toBe(1);
  close();
  await expect(hub.look(session)).rejects.toMatchObject({ code: "LOOK_UNKNOWN" });
}, 60_000);

test("a thread that is busy does not answer, and the question ends", async () => {
  openHub();
  const { worker } = await startThread("/root/light");
  const { session = "" } = hub.find("/root/light") ?? {};
  worker.postMessage(3_000_000);
  await expect(hub.look(session)).rejects.toMatchObject({ code: "LOOK_TIMEOUT" });
}, 60_000);
