/**
 * Folders that workers' processes need; removed with this process.
 *
 * @module
 */

import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

function ownFolder(prefix: string, mode: number): () => string {
  let folder: string | undefined;
  return () => {
    if (folder !== undefined && existsSync(folder)) return folder;
    const made = mkdtempSync(join(tmpdir(), prefix));
    chmodSync(made, mode);
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    folder = made;
    return made;
  };
}

/**
 * Working directory. Newer versions of Node let a restricted process read all of it, so there is
 * nothing in it.
 */
export const emptyFolder = ownFolder("spectra-empty-", 0o555);

/** Root modules and the cache of Deno. */
export const scratchFolder = ownFolder("spectra-deno-", 0o700);
