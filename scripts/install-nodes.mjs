/**
 * Provides newer Node binaries for tests, from the packages `node-<platform>-<arch>` of the registry.
 *
 * `node scripts/install-nodes.mjs 22 24` prints the path of each, one a line; exit code 1 when one is missing.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Major versions that SPECTRA is tested on, besides the machine's own. */
export const testedNodes = ["22", "24", "26"];

const installTimeoutMs = 300_000;
const packageName = `node-${process.platform}-${process.arch}`;
const cache = fileURLToPath(new URL("../node_modules/.cache/spectra-nodes/", import.meta.url));

/** Where the binary of a major version is, or will be. The machine's own where it is that version. */
export function nodePath(major) {
  if (process.versions.node.split(".")[0] === major) return process.execPath;
  return join(cache, major, "node_modules", packageName, "bin", "node");
}

export function hasNode(major) {
  return existsSync(nodePath(major));
}

/** True when the binary is there afterwards and runs. */
export function installNode(major) {
  if (!hasNode(major)) {
    const folder = join(cache, major);
    mkdirSync(folder, { recursive: true });
    // Without a package file npm would look for one further up.
    writeFileSync(join(folder, "package.json"), "{}\n");
    const flags = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    const args = ["install", ...flags, "--prefix", folder, `${packageName}@${major}`];
    spawnSync("npm", args, {
      stdio: ["ignore", 2, 2],
      timeout: installTimeoutMs,
      cwd: dirname(cache),
    });
  }
  return hasNode(major) && spawnSync(nodePath(major), ["--version"]).status === 0;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const major of process.argv.slice(2)) {
    if (installNode(major)) console.log(nodePath(major));
    else {
      console.error(`Cannot provide Node ${major}: ${packageName}@${major} could not be installed`);
      process.exitCode = 1;
    }
  }
}
