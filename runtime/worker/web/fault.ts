/**
 * Tells an error as Deno's `ErrorEvent` does.
 *
 * @module
 */

import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { toErrorRecord } from "../../../machines/error-code.ts";
import { requires } from "../../../machines/permissions.ts";
import type { WorkerFault } from "./carrier.ts";

/** `at f (file:///a.js:1:2)`, `at file:///a.js:1:2`, `at async data:…:1:2` */
const framePlace = /^\s*at (?:.*? \()?(.+?):(\d+):(\d+)\)?$/;
/** Frames of Node and of the scope itself say nothing to who reads the event. */
const ownFrame = /^(?:node:|.*\/runtime\/worker\/web\/)/;

export function faultOf(thrown: unknown, kind: WorkerFault["kind"]): WorkerFault {
  const place = kind === "load" ? nowhere : placeOf(thrown);
  const how =
    kind === "load" ? "" : kind === "unhandled-rejection" ? "Uncaught (in promise) " : "Uncaught ";
  return { message: `${how}${textOf(thrown, kind)}`, ...place, error: toErrorRecord(thrown), kind };
}

const nowhere = { filename: "", lineno: 0, colno: 0 } as const;

function placeOf(thrown: unknown): Pick<WorkerFault, "filename" | "lineno" | "colno"> {
  const stack = thrown instanceof Error ? thrown.stack : undefined;
  for (const line of typeof stack === "string" ? stack.split("\n") : []) {
    const [, filename, lineno, colno] = framePlace.exec(line) ?? [];
    if (filename === undefined || ownFrame.test(filename)) continue;
    return { filename, lineno: Number(lineno), colno: Number(colno) };
  }
  return nowhere;
}

/** Code of the worker may have made any of this throw. */
function textOf(thrown: unknown, kind: WorkerFault["kind"]): string {
  try {
    if (typeof thrown === "string") return JSON.stringify(thrown);
    if (!(thrown instanceof Error)) return inspect(thrown);
    if (kind === "load") return loadText(thrown);
    return titleOf(thrown);
  } catch {
    return Object.prototype.toString.call(thrown);
  }
}

function titleOf({ name, message }: Error): string {
  return message === "" ? name : `${name}: ${message}`;
}

/** Deno's texts for what Node says in others. */
function loadText(error: Error): string {
  const missing = missingModule(error);
  if (missing !== undefined) return `Module not found "${missing}".`;
  if (error.name === "NotCapable") return error.message;
  const { code, permission, resource } = error as {
    code?: unknown;
    permission?: unknown;
    resource?: unknown;
  };
  if (code === "ERR_ACCESS_DENIED" && permission === "FileSystemRead") {
    return requires("read", String(resource)).message;
  }
  return titleOf(error);
}

/** URL of the module that Node did not find. */
function missingModule(error: Error): string | undefined {
  const { code, url } = error as { code?: unknown; url?: unknown };
  if (code !== "ERR_MODULE_NOT_FOUND") return undefined;
  if (typeof url === "string") return url;
  // Node 20 tells only the path.
  const path = /^Cannot find module '(.+?)' imported from/.exec(error.message)?.[1];
  return path === undefined ? undefined : pathToFileURL(path).href;
}
