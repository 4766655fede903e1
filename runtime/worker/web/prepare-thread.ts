/**
 * What a thread needs to start for a restricted maker: the module to import, and the flags of Node's
 * permission model. It never gets to read code that its maker could not read.
 *
 * @module
 */

import { realpathSync } from "node:fs";
import { isWithin } from "../../../machines/permission-item.ts";
import { type PermissionSet, permits } from "../../../machines/permissions.ts";
import { isEverything } from "../permissions/enforcement.ts";
import { runtimeCodeRoots, threadExecArgv } from "../permissions/exec-argv.ts";
import { readableGraph } from "../permissions/static-graph.ts";
import { rootOf } from "./root.ts";

/** What the one who asks for a worker has itself. */
export interface MakerRights {
  readonly permissions: PermissionSet;
  /** Files and folders that its thread loads code from, and so can read. */
  readonly code: readonly string[];
}

export interface ThreadWish {
  /** URL of the module. */
  readonly root: string;
  /** Of the new thread: no wider than its maker's. */
  readonly permissions: PermissionSet;
  readonly maker: MakerRights;
}

export interface PreparedThread {
  /** What to import. */
  readonly root: string;
  readonly execArgv: readonly string[];
  readonly code: readonly string[];
}

/** Rejects where the maker may not load the module. */
export type PrepareThread = (wish: ThreadWish) => Promise<PreparedThread>;

export const prepareThread: PrepareThread = async ({ root, permissions, maker }) => {
  const imported = (await rootOf(root, maker.permissions)) ?? root;
  const code = await codeOf(root, permissions, maker);
  return { root: imported, execArgv: threadExecArgv(permissions, code), code };
};

async function codeOf(
  root: string,
  permissions: PermissionSet,
  maker: MakerRights,
): Promise<readonly string[]> {
  if (isEverything(permissions)) return [];
  const runtime = runtimeCodeRoots();
  const roots = [...runtime, ...maker.code];
  const mayRead = (path: string): boolean =>
    permits(maker.permissions, "read", path) || roots.some((code) => isWithin(code, path));
  const graph = await readableGraph(
    root,
    (path) => isPlain(path) && mayRead(path) && mayRead(realPathOf(path)),
  );
  return [...new Set([...runtime, ...graph])];
}

/** Node would take these for more than themselves. */
function isPlain(path: string): boolean {
  return !/[*,]/.test(path);
}

/** A link in a folder that may be read need not lead into it. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // Nothing is there to be read.
    return path;
  }
}
