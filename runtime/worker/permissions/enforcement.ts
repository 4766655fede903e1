/**
 * How strongly each permission holds where a worker runs. `escapes.int.test.ts` holds it to its word.
 *
 *     hard       refused by Node or Deno, below the reach of the worker's JavaScript
 *     brokered   refused there, and done by the parent on request
 *     soft       refused by guards in the worker, which hostile code may get around
 *     none       declared only
 *
 * Read and write are judged by path: a link inside of a granted folder belongs to it, and a descriptor that
 * another thread has open is open for all. `docs/permissions.md` says it for users.
 *
 * @module
 */

import { isWithin } from "../../../machines/permission-item.ts";
import {
  noPermissions,
  type PermissionName,
  type PermissionRule,
  type PermissionSet,
  permissionNames,
} from "../../../machines/permissions.ts";
import type { Isolation } from "../web/carrier.ts";

export type EnforcementLevel = "none" | "soft" | "brokered" | "hard";

export type Enforcement = Readonly<Record<PermissionName, EnforcementLevel>>;

const allHard: Enforcement = levels(() => "hard");
const allSoft: Enforcement = levels(() => "soft");

/** From this major version on Node's permission model knows the network. */
const netModelMajor = 25;

/**
 * @param nodeVersion As in `process.versions.node`.
 * @param set What the worker holds. Default: nothing, the case in which most is hard.
 */
export function enforcement(
  isolation: Isolation,
  nodeVersion: string = process.versions.node,
  set: PermissionSet = noPermissions,
): Enforcement {
  if (isEverything(set)) return allHard;
  if (givesAway(set)) return allSoft;
  if (isolation === "deno") return allHard;
  const major = Number(nodeVersion.split(".")[0]);
  return levels((name) => {
    if (isWhole(set, name)) return "hard";
    switch (name) {
      case "read":
      case "write":
        return "hard";
      case "net":
        return major >= netModelMajor && isNothing(set, name) ? "hard" : "soft";
      case "env":
        // The worker has no other variables; those of the process stand in /proc.
        return readsProc(set) ? "soft" : "hard";
      case "sys":
        return "soft";
      case "run":
        return isNothing(set, name) ? "hard" : isBrokered(set, name) ? "brokered" : "soft";
      case "ffi":
        return isNothing(set, name) ? "hard" : "soft";
      case "import":
        // Node loads no module over the network at all.
        return "hard";
    }
  });
}

/** Native code and other programs are bound by nothing that binds the worker's JavaScript; nor is who writes its memory. */
function givesAway(set: PermissionSet): boolean {
  return (
    !isNothing(set, "ffi") ||
    (!isNothing(set, "run") && !isBrokered(set, "run")) ||
    (set.write.denied !== "all" && reachesProcess(set.write.granted))
  );
}

function readsProc({ read }: PermissionSet): boolean {
  if (read.denied === "all" || read.denied.some((path) => isWithin(path, "/proc"))) return false;
  return reachesProcess(read.granted);
}

/** `/proc/cpuinfo` tells nothing of a process; `/proc/self` and `/proc/1` do. */
function reachesProcess(granted: PermissionRule["granted"]): boolean {
  if (granted === "all") return true;
  return granted.some(
    (path) => isWithin(path, "/proc") || /^\/proc\/(?:\d|self|thread-self)/.test(path),
  );
}

export function isNothing(set: PermissionSet, name: PermissionName): boolean {
  const { granted, denied } = set[name];
  return denied === "all" || granted.length === 0;
}

/** A list of programs: Node denies the worker all of them, and its maker runs those of the list. */
export function isBrokered(set: PermissionSet, name: "run"): boolean {
  return !isNothing(set, name) && set[name].granted !== "all";
}

/** Granted without exception: there is nothing to enforce. */
export function isWhole(set: PermissionSet, name: PermissionName): boolean {
  const { granted, denied } = set[name];
  return granted === "all" && denied.length === 0;
}

export function isEverything(set: PermissionSet): boolean {
  return permissionNames.every((name) => isWhole(set, name));
}

function levels(of: (name: PermissionName) => EnforcementLevel): Enforcement {
  return Object.fromEntries(permissionNames.map((name) => [name, of(name)])) as Enforcement;
}
