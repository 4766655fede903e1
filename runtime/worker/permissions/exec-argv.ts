/**
 * Flags of Node's permission model for one worker thread.
 *
 * The model is per thread: `execArgv` of a `Worker` replaces the flags of the process.
 * Two holes of it are closed here, measured on 22.23, 24.21 and 26.10:
 *
 * - A restricted worker may read the whole working directory, because Node takes the (absent) entry
 *   point of a thread for `cwd`. With `--interactive` it grants no entry point, and a thread starts no REPL.
 * - `node:sqlite` opens files past the model. `--no-experimental-sqlite` takes the module away.
 *
 * @module
 */

import { existsSync, readdirSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isWithin } from "../../../machines/permission-item.ts";
import {
  noPermissions,
  type PermissionRule,
  type PermissionSet,
} from "../../../machines/permissions.ts";
import { isBrokered, isEverything, isNothing } from "./enforcement.ts";
import { staticGraph } from "./static-graph.ts";

/** A denied path below a granted one is left out by granting its siblings, these many at most. */
const maxExpandedGrants = 4_096;

/**
 * `execArgv` for `new Worker`; empty where all is granted.
 * @param codeRoots Files and folders that the thread loads code from: always readable.
 * @throws {RangeError} When a path cannot be expressed to Node.
 */
export function threadExecArgv(set: PermissionSet, codeRoots: readonly string[]): string[] {
  if (isEverything(set)) return [];
  // A list of programs is brokered.
  const own = isBrokered(set, "run") ? { ...set, run: noPermissions.run } : set;
  return [...permissionFlags(own, codeRoots), "--interactive"];
}

/** The same for the command line of a process of its own. */
export function processExecArgv(set: PermissionSet, codeRoots: readonly string[]): string[] {
  return isEverything(set) ? [] : permissionFlags(set, codeRoots);
}

function permissionFlags(set: PermissionSet, codeRoots: readonly string[]): string[] {
  const read = pathsOf(set.read);
  const flags = [
    // Node 20 and early 22 have it under its first name.
    knows("--permission") ? "--permission" : "--experimental-permission",
    // Node warns of the flags below; who grants them knows.
    "--disable-warning=SecurityWarning",
    "--disable-warning=ExperimentalWarning",
  ];
  if (read === "all") flags.push("--allow-fs-read=*");
  else {
    const code = codeRoots.flatMap((root) => [root, ...realPathOf(root)]);
    for (const path of new Set([...code, ...read])) flags.push(...fsFlags("read", path));
  }
  const write = pathsOf(set.write);
  if (write === "all") flags.push("--allow-fs-write=*");
  else for (const path of new Set(write)) flags.push(...fsFlags("write", path));
  if (!isNothing(set, "run")) flags.push("--allow-child-process");
  if (!isNothing(set, "ffi")) flags.push("--allow-addons");
  if (!isNothing(set, "ffi") && knows("--allow-ffi")) flags.push("--allow-ffi");
  if (!isNothing(set, "net") && knows("--allow-net")) flags.push("--allow-net");
  if (knows("--experimental-sqlite")) flags.push("--no-experimental-sqlite");
  return flags;
}

function knows(flag: string): boolean {
  return process.allowedNodeEnvironmentFlags.has(flag);
}

/** Paths that are granted and not denied. A folder that holds a denied path is replaced by its other entries, as they are now. */
function pathsOf({ granted, denied }: PermissionRule): "all" | readonly string[] {
  if (denied === "all") return [];
  if (denied.length === 0) return granted;
  const roots = granted === "all" ? ["/"] : granted;
  const expanded = roots.flatMap((root) => without(root, denied));
  if (expanded.length > maxExpandedGrants) {
    throw new RangeError(
      `Cannot grant ${roots.join(", ")} without ${denied.join(", ")}: more than ${maxExpandedGrants} other entries`,
    );
  }
  return expanded;
}

function without(path: string, denied: readonly string[]): string[] {
  if (denied.some((one) => isWithin(one, path))) return [];
  if (!denied.some((one) => isWithin(path, one))) return [path];
  return entriesOf(path).flatMap((name) => without(join(path, name), denied));
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // Not a folder, or none that can be listed: nothing in it is granted.
    return [];
  }
}

/** Node takes a path for a folder only where one exists at the start of the thread. */
function fsFlags(access: "read" | "write", path: string): string[] {
  if (path.includes("*"))
    throw new RangeError(`Cannot grant ${access} of "${path}": Node would take * for a wildcard`);
  const flag = `--allow-fs-${access}=${path}`;
  return existsSync(path) ? [flag] : [flag, `${flag}/*`];
}

function realPathOf(path: string): string[] {
  try {
    return [realpathSync(path)];
  } catch {
    return [];
  }
}

/** What a thread with these permissions must be able to load to run the module at `url`. */
export function codeRootsOf(url: string, set: PermissionSet): readonly string[] {
  if (isEverything(set)) return [];
  const roots = runtimeCodeRoots();
  return isIn(roots, url) ? roots : [...roots, ...staticGraph(url)];
}

/** Whether a module lies in one of these files and folders. */
export function isIn(roots: readonly string[], url: string): boolean {
  return url.startsWith("file:") && roots.some((root) => isWithin(root, fileURLToPath(url)));
}

/**
 * What the runtime's own threads load: its compiled modules, and the packages that they import.
 * All of it is public code; a thread can always read it.
 */
export function runtimeCodeRoots(): readonly string[] {
  const root = packageRoot(dirname(fileURLToPath(import.meta.url)));
  const roots = [join(root, "dist"), join(root, "package.json")];
  for (let folder = root; ; folder = dirname(folder)) {
    const modules = join(folder, "node_modules");
    if (existsSync(modules)) roots.push(modules);
    // Node names a module by its real path.
    if (folder === dirname(folder)) return [...new Set([...roots, ...roots.flatMap(realPathOf)])];
  }
}

/** The nearest folder upwards that has a package file. */
function packageRoot(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json"))) return folder;
    if (folder === dirname(folder)) return from;
  }
}
