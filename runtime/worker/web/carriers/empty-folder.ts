/**
 * The working directory of workers' processes. Newer versions of Node let a restricted process read
 * all of it, so there is nothing in it.
 *
 * @module
 */

import { chmodSync, existsSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let folder: string | undefined;

/** One for all workers of this process; removed with it. */
export function emptyFolder(): string {
  if (folder !== undefined && existsSync(folder)) return folder;
  const made = mkdtempSync(join(tmpdir(), "spectra-empty-"));
  chmodSync(made, 0o555);
  folder = made;
  process.once("exit", () => {
    try {
      rmdirSync(made);
    } catch {
      // Somebody has put something there, or it is gone: not ours to judge at our end.
    }
  });
  return made;
}
