/**
 * A permission set as flags of a Deno process, and as the permissions of the worker in it.
 *
 * The process may read everything that is not denied, since Deno loads a worker's static imports
 * under the view of who starts it; no code of the worker runs outside of the inner worker, which
 * may read only what is granted. Everything else the process has exactly as the worker.
 *
 * @module
 */

import {
  type PermissionName,
  type PermissionRule,
  type PermissionSet,
  permissionNames,
} from "../../../../machines/permissions.ts";

export function denoFlags(permissions: PermissionSet, heapLimitMb: number | undefined): string[] {
  const flags = permissionNames.flatMap((name) => {
    const { granted, denied } = permissions[name];
    const isOpen = name === "read" && denied !== "all";
    return [
      ...ruleFlag(`--allow-${name}`, isOpen ? "all" : granted),
      ...ruleFlag(`--deny-${name}`, denied),
    ];
  });
  return [
    "run",
    "--quiet",
    "--no-prompt",
    "--no-lock",
    "--no-remote",
    "--cached-only",
    "--node-modules-dir=manual",
    "--unstable-worker-options",
    ...(heapLimitMb === undefined ? [] : [`--v8-flags=--max-old-space-size=${heapLimitMb}`]),
    ...flags,
  ];
}

/** A comma separates items, so one within an item is doubled. */
function ruleFlag(flag: string, items: PermissionRule["granted"]): string[] {
  if (items === "all") return [flag];
  if (items.length === 0) return [];
  return [`${flag}=${items.map((item) => item.replaceAll(",", ",,")).join(",")}`];
}

export type DenoPermissions = Readonly<
  Record<PermissionName, "inherit" | false | readonly string[]>
>;

/** What the inner worker gets: what its process has, but for `read`, which that has in full. */
export function workerPermissions({ read, import: imports }: PermissionSet): DenoPermissions {
  return {
    read: read.granted === "all" ? "inherit" : read.granted.length === 0 ? false : read.granted,
    write: "inherit",
    net: "inherit",
    env: "inherit",
    sys: "inherit",
    run: "inherit",
    ffi: "inherit",
    // Without a flag Deno grants some hosts.
    import: imports.granted.length === 0 ? false : "inherit",
  };
}
