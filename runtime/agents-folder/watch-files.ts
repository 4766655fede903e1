/**
 * Notices when files below some folders change, appear or go.
 * It looks instead of listening: that works on every file system and container mount, needs no
 * inotify watches, and an editor that saves in three steps is seen once, when it has come to rest.
 *
 * @module
 */

import { stat } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { ifThere, listSources } from "./module-files.ts";

const defaultLookEveryMs = 250;
/** A look that takes long, over very many files, is followed by a pause of so many times its duration. */
const restFactor = 10;

export interface FileWatchOptions {
  readonly folders: readonly string[];
  /** Files elsewhere that matter too. */
  readonly others: () => Iterable<string>;
  readonly lookEveryMs?: number;
  /** The next look is taken when this has settled. Must not reject. */
  onChange(): Promise<void>;
}

export interface FileWatch {
  /** Resolves when no `onChange` runs any more. */
  stop(): Promise<void>;
}

/** The first look counts as a change, since files may have changed while they were loaded. */
export function watchFiles(options: FileWatchOptions): FileWatch {
  const stopped = new AbortController();
  const lookEveryMs = options.lookEveryMs ?? defaultLookEveryMs;
  const run = async (): Promise<void> => {
    let told: string | undefined;
    let last: string | undefined;
    while (!stopped.signal.aborted) {
      const begun = performance.now();
      const now = await look(options);
      const restMs = Math.max(lookEveryMs, restFactor * (performance.now() - begun));
      // Twice the same: whoever writes has come to rest.
      if (now !== told && now === last && !stopped.signal.aborted) {
        await options.onChange();
        told = now;
      }
      last = now;
      await wait(restMs, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  };
  const ended = run();
  return {
    stop: async () => {
      stopped.abort();
      await ended;
    },
  };
}

/** One text that changes with any of the files. */
async function look({ folders, others }: FileWatchOptions): Promise<string> {
  const lists = await Promise.all(folders.map(listSources));
  const paths = [...new Set([...lists.flat(), ...others()])].sort();
  return (await Promise.all(paths.map(lineOf))).join("\n");
}

/** Empty for a file that is gone; one that cannot be looked at is another matter, and no deletion. */
async function lineOf(path: string): Promise<string> {
  try {
    const found = await ifThere(stat(path, { bigint: true }));
    return found === undefined ? "" : `${path} ${found.mtimeNs} ${found.size} ${found.ino}`;
  } catch (error) {
    return `${path} ${(error as NodeJS.ErrnoException).code ?? String(error)}`;
  }
}
