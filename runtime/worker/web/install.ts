/**
 * Gives the main thread Deno's globals, so that a program written for Deno's workers runs here.
 *
 *     import { installDenoGlobals } from "…/install.js";
 *     installDenoGlobals({ env: process.env });
 *     new Worker(import.meta.resolve("./worker.js"), { type: "module" });
 *
 * @module
 */

import { allPermissions, type PermissionSet } from "../../../machines/permissions.ts";
import type { Isolation } from "./carrier.ts";
import { createDenoNamespace } from "./deno-namespace.ts";
import { WorkerErrorEvent, WorkerRejectionEvent } from "./events.ts";
import { defineErrorHandlers, hide, makeEventTarget } from "./globals.ts";
import { enterRealm, holdPermissions } from "./realm.ts";
import { bridgeErrors } from "./scope-errors.ts";
import { Worker } from "./worker.ts";

export interface InstallOptions {
  /** What workers are granted from, as Deno's `--allow-…` and `--deny-…`. Default: all. */
  readonly permissions?: PermissionSet;
  /** Environment that workers are granted from. Default: none. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** As Deno's `--location`. */
  readonly location?: string;
  /** Of workers that name none. Default: `thread`. */
  readonly isolation?: Isolation;
}

class MainGlobalScope extends EventTarget {}

/** Call once, in the main thread, before the first worker. */
export function installDenoGlobals(options: InstallOptions = {}): void {
  const { permissions = allPermissions, env = {}, location, isolation } = options;
  const holder = holdPermissions(permissions);
  enterRealm({
    permissions: holder,
    env,
    ...(env["PATH"] === undefined ? {} : { searchPath: env["PATH"] }),
    ...(location === undefined ? {} : { location }),
    ...(isolation === undefined ? {} : { isolation }),
  });
  makeEventTarget(MainGlobalScope.prototype);
  bridgeErrors((fault, thrown) => {
    console.error(`error: ${fault.message}`, thrown);
    return process.exit(1);
  });
  defineErrorHandlers();
  hide({ Worker, Deno: createDenoNamespace(holder, (code) => process.exit(code)) });
  hide({ ErrorEvent: WorkerErrorEvent, PromiseRejectionEvent: WorkerRejectionEvent });
}
