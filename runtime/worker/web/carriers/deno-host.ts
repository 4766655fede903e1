/**
 * Main module of a Deno process: the worker is a `Worker` of Deno in it.
 *
 * @module
 */

import process from "node:process";
import type { WorkerFault } from "../carrier.ts";
import { closedWord, exitWord } from "./deno-protocol.ts";
import { type HostPlatform, serveHost } from "./host-relay.ts";

/** Deno's constructor, where it takes permissions. */
declare const Worker: new (
  specifier: string,
  options: { type: "module"; name: string; deno: { permissions: unknown } },
) => globalThis.Worker;

/** After an error, messages that were posted before it may still arrive. */
const drainTurns = 3;

const open: HostPlatform["open"] = ({ root, url, name, deno }, listener) => {
  const { token, permissions } = deno ?? refuse();
  const rootUrl = root ?? url;
  const meter = new SharedArrayBuffer(5 * Float64Array.BYTES_PER_ELEMENT);
  const figures = new Float64Array(meter);
  const worker = new Worker(rootUrl, { type: "module", name, deno: { permissions } });
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
      listener.fault(faultFrom(event, rootUrl));
      listener.exit(1);
    });
  });
  worker.postMessage(meter);
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

function refuse(): never {
  throw new Error("Cannot start: this is no boot frame for Deno");
}

/** Deno tells an error by its text; the class, the code and the cause stay inside. */
function faultFrom({ message, filename, lineno, colno }: ErrorEvent, rootUrl: string): WorkerFault {
  // That a file of ours imports the worker's root says nothing to who reads it.
  const told = message.replace(new RegExp(`\\n\\s*at ${escape(rootUrl)}:\\d+:\\d+`), "");
  const kind = kindOf(told, filename);
  const [, name = "Error", text = told] = describedError.exec(told) ?? [];
  const error = { name, message: text, code: "UNEXPECTED", retryable: true };
  return { message: told, filename, lineno, colno, error, kind };
}

const describedError = /^(?:Uncaught (?:\(in promise\) )?)?(\w*Error|NotCapable): ([^]*)$/;

function kindOf(message: string, filename: string): WorkerFault["kind"] {
  if (filename === "") return "load";
  return message.startsWith("Uncaught (in promise) ") ? "unhandled-rejection" : "uncaught";
}

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

serveHost({
  open,
  end: (code) => {
    if (code !== 0) killGroup();
    process.exit(code);
  },
  closeMarkOf: ({ deno }) => `${deno?.token}${closedWord}`,
});

/** Needs the permission to run programs; without it the worker has started none. */
function killGroup(): void {
  try {
    process.kill(-process.pid, "SIGKILL");
  } catch {
    // Not permitted: then there is nobody but us, and we end next.
  }
}
