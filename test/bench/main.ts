/**
 * Runs the benches, prints their figures, and writes them to the docs when asked.
 *
 * @module
 */

import { writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { type Figure, isMet, toMarkdown } from "./figure.ts";
import { benchMigration } from "./migration.ts";
import { benchQueue } from "./queue.ts";
import { benchPhase, benchStart } from "./supervisor-runs.ts";

const benches: Readonly<Record<string, (runs: number) => Promise<Figure[]>>> = {
  start: benchStart,
  phase: benchPhase,
  migration: benchMigration,
  queue: benchQueue,
};

const { values: flags } = parseArgs({
  options: {
    runs: { type: "string", default: "3" },
    only: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
const runs = Number(flags.runs);
const chosen = flags.only === undefined ? Object.keys(benches) : [flags.only];
const figures: Figure[] = [];
for (const name of chosen) {
  const bench = benches[name];
  if (bench === undefined)
    throw new Error(`There is no bench "${name}": ${Object.keys(benches).join(", ")}`);
  console.error(`bench ${name}, ${runs} runs…`);
  figures.push(...(await bench(runs)));
}
const machine = `${availableParallelism()} cores of ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
const page = `# Benchmarks

Made by \`npm run bench -- --runs ${runs} --write\` on ${machine}. The machine is shared: read ratios and medians.

${toMarkdown(figures)}
`;
console.log(page);
if (flags.write) await writeFile("docs/benchmarks.md", page);
if (figures.some((figure) => isMet(figure) === false))
  console.error("Some goals were missed, see above");
