/**
 * A thread with an actor in it, for tests of inspection over threads.
 *
 * @module
 */

import { parentPort, workerData } from "node:worker_threads";
import { createActor, setup } from "xstate";
import { type InspectorSeed, installInspector } from "../../../runtime/worker/inspect/inspector.ts";

const { seed, address } = workerData as { seed: InspectorSeed; address: string };

const light = setup({
  types: { events: {} as { type: "next"; password?: string } },
}).createMachine({
  id: "light",
  initial: "red",
  states: { red: { on: { next: "green" } }, green: { on: { next: "red" } } },
});

const actor = createActor(light);
const inspector = installInspector(seed);
inspector.watch(actor, address);
actor.start();
parentPort?.on("message", (count: number) => {
  for (let done = 0; done < count; done += 1) actor.send({ type: "next", password: "hunter2" });
  parentPort?.postMessage(count);
});
parentPort?.postMessage("ready");
