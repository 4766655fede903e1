/**
 * Entry of a worker's thread: the scope's endpoint over a port.
 *
 * @module
 */

import { workerData } from "node:worker_threads";
import type { ParentFrame, ScopeEndpoint } from "./frames.ts";
import { startMeter, writeFigures, writeLoaded } from "./meter.ts";
import { enterScope } from "./scope.ts";
import type { ThreadSeed } from "./thread-carrier.ts";

const { frames, meter, broker } = workerData as ThreadSeed;
// The worker's code can read `workerData` too.
for (const key of Object.keys(workerData as object))
  delete (workerData as Record<string, unknown>)[key];
const figures = new Float64Array(meter);
const { exit } = process;

const endpoint: ScopeEndpoint = {
  ...(broker === undefined ? {} : { broker }),
  send: (frame, transfer = []) => frames.postMessage(frame, transfer),
  listen: (onFrame, onError) => {
    frames.on("message", (frame: ParentFrame) => onFrame(frame));
    frames.on("messageerror", onError);
  },
  loaded: () => writeLoaded(figures),
  exit: (code) => {
    process.removeAllListeners("exit");
    return Reflect.apply(exit, process, [code]);
  },
};

startMeter((measured) => writeFigures(figures, measured));
enterScope(endpoint);
