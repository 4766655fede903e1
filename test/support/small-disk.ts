/**
 * A file system of its own in memory, small enough to fill up: needs root with the right to mount.
 * `npm test` leaves out the files that import this where it may not mount.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { statfsSync } from "node:fs";
import { mkdir } from "node:fs/promises";

export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  resize(sizeMb: number): void;
  /** Makes the disk so small that this much stays free, at once: a writer has no time to notice. */
  squeeze(spareMb: number): void;
}

/** Creates the folder and mounts the file system there; disposal takes it off again. */
export async function openSmallDisk(path: string, sizeMb: number): Promise<SmallDisk> {
  await mkdir(path);
  const mount = (options: string): void => {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "spectra-test", path]);
  };
  mount(`size=${sizeMb}m,mode=0755`);
  const resize = (newSizeMb: number): void => mount(`remount,size=${newSizeMb}m`);
  return {
    path,
    resize,
    squeeze: (spareMb) => {
      const { blocks, bfree, bsize } = statfsSync(path);
      resize(Math.ceil(((blocks - bfree) * bsize) / 2 ** 20) + spareMb);
    },
    [Symbol.asyncDispose]: async () => {
      // Lazy: a failed test can leave a process that has a file open here.
      execFileSync("umount", ["-l", path]);
    },
  };
}
