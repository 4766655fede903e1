/**
 * A file system of its own in memory, small enough to fill up: needs root with the right to mount.
 * `npm test` leaves out the files that import this where it may not mount.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { mkdir, statfs, writeFile } from "node:fs/promises";

export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  resize(sizeMb: number): void;
  /** Writes the file `path` so large that this much of the disk stays free. */
  fill(path: string, spareMb: number): Promise<void>;
}

/** Creates the folder and mounts the file system there; disposal takes it off again. */
export async function openSmallDisk(path: string, sizeMb: number): Promise<SmallDisk> {
  await mkdir(path);
  const mount = (options: string): void => {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "spectra-test", path]);
  };
  mount(`size=${sizeMb}m,mode=0755`);
  return {
    path,
    resize: (newSizeMb) => mount(`remount,size=${newSizeMb}m`),
    fill: async (file, spareMb) => {
      const { bavail, bsize } = await statfs(path);
      await writeFile(file, Buffer.alloc(bavail * bsize - spareMb * 2 ** 20));
    },
    [Symbol.asyncDispose]: async () => {
      // Lazy: a failed test can leave a process that has a file open here.
      execFileSync("umount", ["-l", path]);
    },
  };
}
