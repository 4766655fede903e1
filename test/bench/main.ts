/**
 * Runs the benches, prints their figures, and writes them to the docs when asked.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { benchCrowd, benchRecovery } from "./actors/agents.ts";
import { benchEvents } from "./actors/events.ts";
import { benchInspection } from "./actors/inspection.ts";
import { benchChains } from "./engine/chains.ts";
import { benchCore } from "./engine/core.ts";
import { benchWide } from "./engine/wide.ts";
import { type Figure, isMet, median, toMarkdown } from "./figure.ts";
import { benchMigration } from "./migration.ts";
import { benchQueue } from "./queue.ts";
import { benchPhase, benchStart } from "./supervisor-runs.ts";

type Benches = Readonly<Record<string, (runs: number) => Promise<Figure[]>>>;

const suites: Readonly<
  Record<string, { readonly benches: Benches; readonly page: string; readonly command: string }>
> = {
  node: {
    benches: {
      start: benchStart,
      phase: benchPhase,
      migration: benchMigration,
      queue: benchQueue,
    },
    page: "docs/benchmarks.md",
    command: "npm run bench",
  },
  actors: {
    benches: {
      events: benchEvents,
      recovery: benchRecovery,
      crowd: benchCrowd,
      inspection: benchInspection,
    },
    page: "docs/benchmarks-actors.md",
    command: "npm run bench:actors",
  },
  engine: {
    benches: { core: benchCore, chains: benchChains, wide: benchWide },
    page: "docs/benchmarks-engine.md",
    command: "npm run bench:engine",
  },
};

const { values: flags } = parseArgs({
  options: {
    suite: { type: "string", default: "node" },
    runs: { type: "string", default: "3" },
    only: { type: "string" },
    json: { type: "string" },
    write: { type: "boolean", default: false },
    strict: { type: "boolean", default: false },
  },
});
const suite = suites[flags.suite];
if (suite === undefined)
  throw new Error(`There is no suite "${flags.suite}": ${Object.keys(suites).join(", ")}`);
const { benches } = suite;
const runs = Number(flags.runs);
const chosen = flags.only === undefined ? Object.keys(benches) : flags.only.split(",");
const figures: Figure[] = [];
for (const name of chosen) {
  const bench = benches[name];
  if (bench === undefined)
    throw new Error(`There is no bench "${name}": ${Object.keys(benches).join(", ")}`);
  console.error(`bench ${name}, ${runs} runs…`);
  figures.push(...(await bench(runs)));
}
const machine = `${availableParallelism()} cores of ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
const subjects: Readonly<Record<string, string>> = {
  node: "",
  actors: " of the actor runtime",
  engine: " of the workflow engine",
};
const page = `# Benchmarks${subjects[flags.suite]}

Made by \`${suite.command} -- --runs ${runs}${flags.only === undefined ? "" : ` --only ${flags.only}`} --write\` on ${machine}. The machine is shared: read ratios and medians.

${toMarkdown(figures)}
`;
console.log(page);
if (flags.write) await writeFile(suite.page, page + (await longRuns(suite.page)));
if (flags.json !== undefined) {
  const rows = figures.map((figure) => ({
    ...figure,
    median: median(figure.values),
    met: isMet(figure) ?? null,
  }));
  await writeFile(flags.json, `${JSON.stringify({ machine, runs, figures: rows }, null, 2)}\n`);
}
const missed = figures.filter((figure) => isMet(figure) === false);
for (const { name, values, unit } of missed)
  console.error(`missed: ${name}: ${median(values).toFixed(1)} ${unit}`);
if (missed.length > 0 && flags.strict) process.exitCode = 1;

/** What `npm run soak -- --write` has written below the table; it stays. */
async function longRuns(file: string): Promise<string> {
  if (!existsSync(file)) return "";
  const [, section] = (await readFile(file, "utf8")).split("\n## Long runs\n");
  return section === undefined ? "" : `\n## Long runs\n${section}`;
}
