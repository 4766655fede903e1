/**
 * `npm run soak`: compiles the long runs and does them one after the other; exits 1 when one fails.
 *
 * `npm run soak -- kills`   only the programs whose name contains one of the words
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { build, isStale } from "../../scripts/build.mjs";
import { runTool } from "../../scripts/checks.mjs";

if (isStale() && !build()) process.exit(1);
if (!runTool(["tsc", "-p", "test/bench/tsconfig.json"])) process.exit(1);

const words = process.argv.slice(2);
const programs = readdirSync(new URL("./", import.meta.url))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -".ts".length))
  .filter((name) => words.length === 0 || words.some((word) => name.includes(word)));
if (programs.length === 0) {
  console.error(`There is no soak program that matches ${words.join(" ")}`);
  process.exit(2);
}

const failed = [];
for (const name of programs) {
  const startMs = performance.now();
  console.log(`— ${name}`);
  const { status } = spawnSync(process.execPath, ["--expose-gc", `dist/test/soak/${name}.js`], {
    stdio: "inherit",
  });
  if (status !== 0) failed.push(name);
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  console.log(`${status === 0 ? "passed" : "FAILED"} ${name} in ${seconds} s`);
}
console.log(`${programs.length - failed.length} passed, ${failed.length} failed`);
process.exit(failed.length === 0 ? 0 : 1);
