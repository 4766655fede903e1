/**
 * `npm run soak`: compiles the long runs and does them one after the other; exits 1 when one fails.
 *
 * `npm run soak -- kills`   only the programs of these names, or whose name contains one of the words
 * `npm run soak -- --write`   also writes the figures into docs/benchmarks-actors.md
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, isStale } from "../../scripts/build.mjs";
import { runTool } from "../../scripts/checks.mjs";

if (isStale() && !build()) process.exit(1);
if (!runTool(["tsc", "-p", "test/bench/tsconfig.json"])) process.exit(1);

const page = "docs/benchmarks-actors.md";
const heading = "## Long runs";

const words = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const names = readdirSync(new URL("./", import.meta.url))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -".ts".length));
const named = names.filter((name) => words.includes(name));
const programs =
  named.length > 0
    ? named
    : names.filter((name) => words.length === 0 || words.some((word) => name.includes(word)));
if (programs.length === 0) {
  console.error(`There is no soak program that matches ${words.join(" ")}`);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), "spectra-soak-"));
const report = join(folder, "figures");
const failed = [];
for (const name of programs) {
  const startMs = performance.now();
  console.log(`— ${name}`);
  const { status } = spawnSync(process.execPath, ["--expose-gc", `dist/test/soak/${name}.js`], {
    stdio: "inherit",
    env: { ...process.env, SOAK_REPORT: report },
  });
  if (status !== 0) failed.push(name);
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  console.log(`${status === 0 ? "passed" : "FAILED"} ${name} in ${seconds} s`);
}
const figures = existsSync(report)
  ? readFileSync(report, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line))
  : [];
rmSync(folder, { recursive: true });
if (process.argv.includes("--write")) writePage(figures);
console.log(`${programs.length - failed.length} passed, ${failed.length} failed`);
process.exit(failed.length === 0 ? 0 : 1);

/** Replaces the rows of these runs; those of the others stay. */
function writePage(figures) {
  const [before = "", after = ""] = readFileSync(page, "utf8").split(`\n${heading}\n`);
  const kept = after
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| run |"))
    .filter((line) => !figures.some(({ run }) => line.startsWith(`| ${run} |`)));
  const rows = figures.map(({ run, passed, found, ms }) => {
    const seconds = (ms / 1_000).toFixed(0);
    return `| ${run} | ${passed ? "passed" : "**failed**"} | ${found.join("; ")} | ${seconds} s |`;
  });
  const table = ["| run | | found | took |", "|---|---|---|---|", ...kept, ...rows].join("\n");
  const how = "Made by `npm run soak -- --write` on the same machine, which is shared.";
  writeFileSync(page, `${before.trimEnd()}\n\n${heading}\n\n${how}\n\n${table}\n`);
}
