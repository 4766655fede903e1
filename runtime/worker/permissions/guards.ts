/**
 * Guards inside a worker: they refuse with Deno's `NotCapable` what Node's permission model lets through,
 * and what it refuses with an error of its own. They hold against mistakes and ordinary code, not against
 * code that sets out to get around them (`enforcement` calls them soft).
 *
 * @module
 */

import { createRequire, syncBuiltinESMExports } from "node:module";
import type { MessagePort } from "node:worker_threads";
import { type PermissionSet, requirePermission, requires } from "../../../machines/permissions.ts";
import { enterBroker } from "./broker-client.ts";
import { brokerRun } from "./broker-run-client.ts";
import { isBrokered, isEverything, isWhole } from "./enforcement.ts";
import { guardEnv } from "./guard-env.ts";
import { guardNet } from "./guard-net.ts";
import { guardRun } from "./guard-run.ts";
import { replaceMethod } from "./replace-method.ts";

export interface GuardOptions {
  /** What the worker holds now; asked at each use, so that a revocation takes effect. */
  readonly permissions: () => PermissionSet;
  /** Where the maker is asked for what Node's permission model denies. */
  readonly broker?: MessagePort;
}

const require = createRequire(import.meta.url);

/** Call once, before any code of the worker's own is loaded. With all permissions it does nothing. */
export function installGuards({ permissions, broker }: GuardOptions): void {
  const first = permissions();
  if (isEverything(first)) return;
  if (broker !== undefined) enterBroker(broker);
  if (!isWhole(first, "net")) guardNet(permissions);
  if (!isWhole(first, "sys")) guardSys(permissions);
  if (isBrokered(first, "run") && broker !== undefined) brokerRun();
  else if (!isWhole(first, "run")) guardRun(permissions);
  guardProcess(permissions);
  if (!isWhole(first, "env")) guardEnv(permissions);
  // Named imports of the replaced functions follow.
  syncBuiltinESMExports();
}

/** Functions of `node:os` and the kind that Deno asks for. */
const sysFunctions = {
  hostname: "hostname",
  release: "osRelease",
  version: "osRelease",
  uptime: "osUptime",
  loadavg: "loadavg",
  networkInterfaces: "networkInterfaces",
  totalmem: "systemMemoryInfo",
  freemem: "systemMemoryInfo",
  cpus: "cpus",
  homedir: "homedir",
  userInfo: "userInfo",
  getPriority: "getPriority",
  setPriority: "setPriority",
} as const;

const idFunctions = {
  getuid: "uid",
  geteuid: "uid",
  getgid: "gid",
  getegid: "getegid",
  getgroups: "gid",
} as const;

function guardSys(permissions: () => PermissionSet): void {
  const guard = (target: object, kinds: Readonly<Record<string, string>>): void => {
    for (const [name, kind] of Object.entries(kinds)) {
      replaceMethod(target, name, (original) => (self, args) => {
        requirePermission(permissions(), "sys", kind);
        return Reflect.apply(original, self, args);
      });
    }
  };
  guard(require("node:os") as object, sysFunctions);
  guard(process, idFunctions);
  const fs = require("node:fs") as { readonly promises: object };
  const statfs = { statfs: "statfs", statfsSync: "statfs" };
  guard(fs, statfs);
  guard(fs.promises, statfs);
}

/** What acts on the whole process from inside of one thread. */
function guardProcess(permissions: () => PermissionSet): void {
  replaceMethod(process, "kill", (original) => (self, args) => {
    requirePermission(permissions(), "run");
    return Reflect.apply(original, self, args);
  });
  replaceMethod(process, "dlopen", (original) => (self, args) => {
    requirePermission(permissions(), "ffi", String(args[1]));
    return Reflect.apply(original, self, args);
  });
  replaceMethod(require("node:v8") as object, "setFlagsFromString", () => () => {
    throw requires("run", "v8.setFlagsFromString");
  });
  // A report tells the environment of the process, not of the worker.
  if (!isWhole(permissions(), "env") || !isWhole(permissions(), "sys")) {
    Object.defineProperty(process, "report", { value: undefined, configurable: false });
  }
}
