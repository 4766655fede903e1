/**
 * The build that threads start from: worker threads run JavaScript on Node 20.
 * Builds once, whoever asks first, and again only when a source is newer.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** The checkout, also for the compiled benches in `dist/test/support`. */
const root = fileURLToPath(new URL("../../", import.meta.url)).replace(/dist[\\/]$/, "");
const dist = join(root, "dist");
/** The command line as it is installed. */
export const builtMain = join(dist, "runtime", "main.js");
const stamp = join(dist, ".test-build");
const lock = join(root, "node_modules", ".spectra-build-lock");
const sources = ["machines", "actors", "runtime", "db", "http", "native", "test/support/agents"];
/** A lock older than this was left by a killed build. */
const staleLockMs = 180_000;

/** Compiles the project, and `test/support/agents/*.ts` to `dist/test/support/agents/*.js`. */
export async function ensureBuilt(): Promise<void> {
  while (isStale()) {
    if (!takeLock()) {
      await sleep(200);
      continue;
    }
    try {
      if (isStale()) await compile();
      // What changed while it ran waits for the next run.
      return;
    } finally {
      rmdirSync(lock);
    }
  }
}

async function compile(): Promise<void> {
  const startedAt = new Date();
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], {
    cwd: root,
    encoding: "utf8",
  });
  // 2: type errors, but everything was emitted; `npm run check` is who reports those.
  if (status !== 0 && status !== 2) throw new Error(`Cannot build for the tests: ${stdout}`);
  const packages = spawnSync(process.execPath, [join(root, "scripts", "one-file-packages.mjs")], {
    cwd: root,
    encoding: "utf8",
  });
  if (packages.status !== 0) throw new Error(`Cannot build for the tests: ${packages.stderr}`);
  cpSync(join(root, "db/migrations"), join(dist, "db/migrations"), { recursive: true });
  const agents = join(root, "test/support/agents");
  const entries = readdirSync(agents).filter((file) => file.endsWith(".ts"));
  await build({
    entryPoints: entries.map((file) => join(agents, file)),
    outdir: join(dist, "test/support/agents"),
    bundle: true,
    packages: "external",
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "error",
  });
  // Sources that changed during the build are newer than this.
  writeFileSync(stamp, startedAt.toISOString());
}

function isStale(): boolean {
  const builtAt = Date.parse(readStamp());
  return Number.isNaN(builtAt) || sources.some((folder) => newestMs(join(root, folder)) > builtAt);
}

function readStamp(): string {
  return existsSync(stamp) ? readFileSync(stamp, "utf8") : "";
}

function newestMs(folder: string): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true });
  const times = files
    .filter((file) => file.isFile() && file.name.endsWith(".ts"))
    .map((file) => statSync(join(file.parentPath, file.name), { throwIfNoEntry: false }))
    .map((stat) => stat?.mtimeMs ?? 0);
  return Math.max(0, ...times);
}

function takeLock(): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    const held = statSync(lock, { throwIfNoEntry: false });
    if (held !== undefined && Date.now() - held.mtimeMs > staleLockMs) rmdirSync(lock);
    return false;
  }
}
