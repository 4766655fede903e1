/**
 * The checks that need no server: types, format, lint, dead code. `npm run check` runs them with the unit tests.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Architecture is a test (`test/architecture.test.ts`), so that it runs with the others. */
export const checks = [
  { name: "types", command: ["tsc", "--noEmit", "-p", "."] },
  {
    name: "types of the dashboard",
    command: ["tsc", "--noEmit", "-p", "http/dashboard"],
    when: "http/dashboard/tsconfig.json",
  },
  { name: "format and order of imports", command: ["biome", "ci", "--colors=off", "."] },
  { name: "lint", command: ["oxlint", "--type-aware", "--deny-warnings"] },
  { name: "dead code", command: ["knip"] },
];

/** Runs a program of `node_modules/.bin`; returns true when it exits with 0. Its output goes to ours. */
export function runTool([tool, ...args], environment = {}) {
  const { status, error } = spawnSync(join(root, "node_modules", ".bin", tool), args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...environment },
    // npm's command files of Windows need its shell.
    shell: process.platform === "win32",
  });
  if (error !== undefined) console.error(String(error));
  return status === 0;
}
