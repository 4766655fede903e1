/**
 * Entry of a worker's thread: the scope's endpoint over a port.
 *
 * @module
 */

import { parentPort, workerData } from "node:worker_threads";
import type { LoadFrame, ParentFrame, ScopeEndpoint } from "./frames.ts";
import { startMeter, writeFigures, writeInterruptible } from "./meter.ts";
import { enterScope } from "./scope.ts";
import type { ThreadSeed } from "./thread.ts";

const { frames, meter, broker, nursery } = workerData as ThreadSeed;
// The worker's code can read `workerData` too.
for (const key of Object.keys(workerData as object))
  delete (workerData as Record<string, unknown>)[key];
const figures = new Float64Array(meter);
const { exit } = process;

const endpoint: ScopeEndpoint = {
  ...(broker === undefined ? {} : { broker }),
  send: (frame, transfer = []) => frames.postMessage(frame, transfer),
  onLoad: (load) => parentPort?.once("message", (frame: LoadFrame) => load(frame)),
  ...(nursery === undefined ? {} : { nursery }),
  listen: (onFrame, onError) => {
    frames.on("message", (frame: ParentFrame) => onFrame(frame));
    frames.on("messageerror", onError);
    // Its maker is gone. Node ends threads that the maker started, but not those that were started for it.
    frames.on("close", () => endpoint.exit(1));
  },
  interruptible: () => writeInterruptible(figures),
  exit: (code) => {
    process.removeAllListeners("exit");
    return Reflect.apply(exit, process, [code]);
  },
};

startMeter((measured) => writeFigures(figures, measured));
enterScope(endpoint);
