/**
 * Main module of a Deno process: the worker is a `Worker` of Deno in it.
 *
 * @module
 */

import process from "node:process";
import type { WorkerFault } from "../carrier.ts";
import { closedWord, type DenoInit, exitWord } from "./deno-protocol.ts";
import { type HostPlatform, serveHost } from "./host-relay.ts";

/** Deno's constructor, where it takes permissions. */
declare const Worker: new (
  specifier: string,
  options: { type: "module"; name: string; deno: { permissions: unknown } },
) => globalThis.Worker;

/** After an error, messages that were posted before it may still arrive. */
const drainTurns = 3;

const token = crypto.randomUUID();

const open: HostPlatform["open"] = (boot, listener) => {
  const meter = new SharedArrayBuffer(5 * Float64Array.BYTES_PER_ELEMENT);
  const figures = new Float64Array(meter);
  const worker = new Worker(boot.root ?? boot.url, {
    type: "module",
    name: boot.name,
    deno: { permissions: boot.denoPermissions },
  });
  worker.addEventListener("message", (event) => {
    const data = event.data as unknown;
    if (typeof data === "string" && data.startsWith(token)) {
      return listener.exit(Number(data.slice(token.length + exitWord.length)));
    }
    listener.message({ data, ports: event.ports });
  });
  worker.addEventListener("messageerror", (event) => listener.messageerror(event.data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    afterTurns(drainTurns, () => {
      listener.fault(faultFrom(event));
      listener.exit(1);
    });
  });
  const init: DenoInit = { token, meter, location: boot.url };
  worker.postMessage(init);
  return {
    post: ({ data, ports }) => worker.postMessage(data, [...ports]),
    figures: () => {
      const [turns = 0, lagMs = 0, cpuMs = 0, heapBytes = 0, arrayBufferBytes = 0] = figures;
      return { turns, lagMs, cpuMs, heapBytes, arrayBufferBytes };
    },
  };
};

function afterTurns(turns: number, run: () => void): void {
  setTimeout(() => (turns <= 1 ? run() : afterTurns(turns - 1, run)), 0);
}

/** Deno tells an error by its text; the class, the code and the cause stay inside. */
function faultFrom({ message, filename = "", lineno = 0, colno = 0 }: ErrorEvent): WorkerFault {
  const rejected = message.startsWith("Uncaught (in promise) ");
  const kind = filename === "" ? "load" : rejected ? "unhandled-rejection" : "uncaught";
  const [, name = "Error", text = message] =
    /^(?:Uncaught (?:\(in promise\) )?)?(\w*Error|NotCapable): ([^]*)$/.exec(message) ?? [];
  const error = { name, message: text, code: "UNEXPECTED", retryable: true };
  return { message, filename, lineno, colno, error, kind };
}

serveHost({
  open,
  end: (code) => {
    if (code !== 0) killGroup();
    process.exit(code);
  },
  closeMark: `${token}${closedWord}`,
});

/** Needs the permission to run programs; without it the worker has started none. */
function killGroup(): void {
  try {
    process.kill(-process.pid, "SIGKILL");
  } catch {
    // Not permitted: then there is nobody but us, and we end next.
  }
}
