/**
 * `npm run bench`: compiles the benches and runs them.
 *
 * `npm run bench -- --runs 5`   runs of each figure (default 3), medians are printed
 * `npm run bench -- --only migration`   one bench: start, phase, migration, queue
 * `npm run bench -- --write`   also writes docs/benchmarks.md
 * `npm run bench -- --json FILE`   also writes the figures as JSON
 * `npm run bench -- --strict`   exits 1 when a goal is missed, which a loaded machine may be the reason of
 * `npm run bench:actors`   the same for the actor runtime; writes docs/benchmarks-actors.md
 * `npm run bench:engine`   the same for the workflow engine; writes docs/benchmarks-engine.md
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { build, isStale } from "../../scripts/build.mjs";
import { runTool } from "../../scripts/checks.mjs";

if (isStale() && !build()) process.exit(1);
if (!runTool(["tsc", "-p", "test/bench/tsconfig.json"])) process.exit(1);
const { status } = spawnSync(
  process.execPath,
  ["dist/test/bench/main.js", ...process.argv.slice(2)],
  {
    stdio: "inherit",
  },
);
process.exit(status ?? 1);
