/**
 * Builds `dist`: the compiled sources, the packages of the threads, the dashboard, the migrations.
 *
 * `node scripts/build.mjs`             builds
 * `node scripts/build.mjs --prepare`   as npm calls it after an install: also fine when only `dist` came along
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");
/** Written by a build that succeeded, with the time of its begin. */
const stamp = join(dist, ".built");
const SOURCES = ["machines", "actors", "runtime", "db", "http", "native"];

/** True when a source is newer than the last build, or nothing was built. */
export function isStale() {
  const builtAt = modifiedAt(stamp);
  const inputs = [
    ...SOURCES,
    "tsconfig.json",
    "tsconfig.build.json",
    "package-lock.json",
    "scripts",
  ];
  return inputs.some((name) => newestIn(join(root, name)) > builtAt);
}

/** True when the development packages are installed. */
export function canBuild() {
  try {
    createRequire(import.meta.url).resolve("typescript");
    return true;
  } catch {
    return false;
  }
}

/** Returns true when all steps succeeded; each has said on stderr what is wrong otherwise. */
export function build() {
  const begunAt = new Date();
  const compiled = run(binOf("typescript", "bin/tsc"), ["-p", "tsconfig.build.json"]);
  removeStale();
  const packed = run(join(root, "scripts", "one-file-packages.mjs"), []);
  const page = join("http", "dashboard", "vite.config.ts");
  const bundled =
    !existsSync(join(root, page)) ||
    run(binOf("vite", "bin/vite.js"), ["build", "--config", page, "--logLevel", "warn"]);
  const migrations = join(root, "db", "migrations");
  if (existsSync(migrations)) {
    rmSync(join(dist, "db", "migrations"), { recursive: true, force: true });
    cpSync(migrations, join(dist, "db", "migrations"), { recursive: true });
  }
  const main = join(dist, "runtime", "main.js");
  if (existsSync(main)) chmodSync(main, 0o755);
  if (compiled && packed && bundled) {
    writeFileSync(stamp, "");
    // Sources that change during the build are newer than this.
    utimesSync(stamp, begunAt, begunAt);
  }
  return compiled && packed && bundled;
}

/** Compiled files whose source is gone would still be found by whoever lists a folder. */
function removeStale() {
  const compiled = /\.(?:js|d\.ts)$/;
  for (const folder of SOURCES) {
    const top = join(dist, folder);
    if (!existsSync(top)) continue;
    for (const name of readdirSync(top, { recursive: true })) {
      const path = String(name);
      const ours = compiled.test(path) && !/^(?:dashboard|migrations)\//.test(path);
      const source = join(root, folder, path.replace(compiled, ".ts"));
      if (ours && !existsSync(source)) rmSync(join(top, path));
    }
  }
}

function binOf(name, path) {
  const require = createRequire(import.meta.url);
  return join(dirname(require.resolve(`${name}/package.json`)), path);
}

function run(script, args) {
  const { status, error } = spawnSync(process.execPath, [script, ...args], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (error !== undefined) console.error(String(error));
  return status === 0;
}

function newestIn(path) {
  const at = modifiedAt(path);
  if (!existsSync(path) || !statSync(path).isDirectory()) return at;
  return readdirSync(path, { withFileTypes: true }).reduce(
    (newest, entry) => Math.max(newest, newestIn(join(path, entry.name))),
    at,
  );
}

function modifiedAt(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const isPrepare = process.argv.includes("--prepare");
  if (!canBuild()) {
    const isBuilt = existsSync(join(dist, "runtime", "main.js"));
    if (!isBuilt || !isPrepare) {
      console.error(
        "Cannot build: the development packages are missing; run npm ci (without --omit=dev)",
      );
      process.exitCode = 1;
    }
  } else if (!build()) {
    process.exitCode = 1;
  }
}
