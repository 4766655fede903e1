/**
 * Keeps the folder of compiled modules small: each change of a module adds a file to it.
 *
 * @module
 */

import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ifThere } from "./module-files.ts";

/** Compiled modules that nobody uses, the newest ones: who undoes a change needs no compiler. */
export const keptUnused = 32;

/**
 * Removes the oldest compiled modules that are not in use, beyond the newest 32 of them.
 *
 * @param inUse Their URLs.
 * @returns How many it removed. A file that cannot be removed stays for the next time.
 */
export async function pruneCache(cacheDir: string, inUse: ReadonlySet<string>): Promise<number> {
  const names = (await ifThere(readdir(cacheDir))) ?? [];
  const unused = names
    // Also what a process that was killed has left unfinished.
    .filter((name) => /-[\da-f]{16}\.mjs(?:\.\d+)?$/.test(name))
    .map((name) => join(cacheDir, name))
    .filter((path) => !inUse.has(pathToFileURL(path).href));
  if (unused.length <= keptUnused) return 0;
  const dated = await Promise.all(
    unused.map(async (path) => ({ path, changedMs: (await ifThere(stat(path)))?.mtimeMs ?? 0 })),
  );
  const old = dated.sort((a, b) => b.changedMs - a.changedMs).slice(keptUnused);
  const removed = await Promise.allSettled(old.map(({ path }) => rm(path, { force: true })));
  return removed.filter(({ status }) => status === "fulfilled").length;
}
