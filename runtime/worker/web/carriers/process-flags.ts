/**
 * A permission set as flags for a Node process that hosts a worker.
 *
 * The process itself runs no code of the worker: its thread has flags of its own, without
 * `--allow-worker`. These here are the second wall, around both.
 *
 * @module
 */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { PermissionRule, PermissionSet } from "../../../../machines/permissions.ts";

/** Folder of the package, with its dependencies. */
const packageFolder = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../../../" : "../../../../../", import.meta.url),
);

/** @param url Root module: the process must be able to load it, whatever the worker may read. */
export function processFlags(permissions: PermissionSet, url: string): string[] {
  const { read, write, run, ffi, net } = permissions;
  if ([read, write, run, ffi, net].every(isEverything)) return [];
  const code = url.startsWith("file:")
    ? [packageFolder, dirname(fileURLToPath(url))]
    : [packageFolder];
  return [
    ...switchOn,
    "--allow-worker",
    ...pathFlags("--allow-fs-read", read, code),
    ...pathFlags("--allow-fs-write", write, []),
    ...(run.granted.length > 0 ? ["--allow-child-process"] : []),
    ...(ffi.granted.length > 0 && allows("--allow-addons") ? ["--allow-addons"] : []),
    ...(net.granted.length > 0 && allows("--allow-net") ? ["--allow-net"] : []),
  ];
}

const allows = (flag: string): boolean => process.allowedNodeEnvironmentFlags.has(flag);

const switchOn = allows("--permission")
  ? ["--permission"]
  : ["--experimental-permission", "--disable-warning=ExperimentalWarning"];

function isEverything({ granted, denied }: PermissionRule): boolean {
  return granted === "all" && denied.length === 0;
}

function pathFlags(flag: string, { granted }: PermissionRule, always: readonly string[]): string[] {
  if (granted === "all") return [`${flag}=*`];
  return [...always, ...granted].map((path) => `${flag}=${path}`);
}
