/**
 * Runs the cases in a process of their own and collects what it says; a row that ends the process
 * has failed, and the others run in the next one.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { cases } from "./cases/index.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
/** Of output that is kept to explain a row that ended its process. */
const keptOutput = 2_000;

/** Limits of a row, in ms: for all of it, and for each thing that it awaits. Wide, for a busy machine. */
const rowLimits = { caseLimitMs: 90_000, waitLimitMs: 60_000 };
/** For rows that are known to differ: some do so by waiting in vain. */
const divergentLimits = { caseLimitMs: 30_000, waitLimitMs: 20_000 };
/** A process that says nothing for so long after a row's limit is blocked, and is killed. */
const graceMs = 15_000;
/** What a dead process wrote is read within this time, also if others hold its pipes. */
const lastWordsMs = 3_000;

/** The file that npm's package `deno` starts. */
export const denoBin = here("../../../../node_modules/.bin/deno");

/**
 * @typedef {{ runtime: "deno" } | { runtime: "node", isolation: "thread" | "process" | "deno", node?: string }} Target
 * `node`: the binary, by default the one that runs this.
 */

/**
 * @param {Target} target
 * @param {readonly number[]} divergent of the rows, those that are known to differ: they run beside the others.
 * @returns {Promise<Map<number, { title: string, passed: boolean, why?: string }>>} by row
 */
export async function runSuite(target, rows = cases.map(([row]) => row), divergent = []) {
  const others = rows.filter((row) => !divergent.includes(row));
  const known = rows.filter((row) => divergent.includes(row));
  const both = await Promise.all([
    runRows(target, others, rowLimits),
    runRows(target, known, divergentLimits),
  ]);
  return new Map(both.flatMap((results) => [...results]).sort(([a], [b]) => a - b));
}

async function runRows(target, rows, limits) {
  const results = new Map();
  let left = [...rows];
  while (left.length > 0) {
    const before = left.length;
    for (const { row, passed, why } of await runProcess(target, left, limits)) {
      const title = cases.find(([number]) => number === row)?.[1] ?? "";
      results.set(row, { title, passed, ...(why === undefined ? {} : { why }) });
    }
    left = left.filter((row) => !results.has(row));
    if (left.length === before) throw new Error(`Cannot run rows ${left}: the runner said nothing`);
  }
  return results;
}

/** Results up to the end of the process; a row that ends it, or blocks it, has failed. */
async function runProcess(target, rows, limits) {
  const [command, args, env] = commandOf(target, rows, limits);
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const results = [];
  let begun;
  let done = false;
  let blocked = false;
  let printed = "";
  child.stderr.on("data", (chunk) => {
    printed = `${printed}${chunk}`.slice(-keptOutput);
  });
  const silentMs = limits.caseLimitMs + graceMs;
  const watchdog = setTimeout(() => {
    blocked = true;
    child.kill("SIGKILL");
  }, silentMs);
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      resolve(signal ?? code);
      // Its workers may have inherited the pipes.
      const timer = setTimeout(() => child.stdout.destroy(), lastWordsMs);
      child.stdout.once("close", () => clearTimeout(timer));
    });
  });
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    if (!line.startsWith("@@")) return;
    watchdog.refresh();
    const said = JSON.parse(line.slice(2));
    if (said.done === true) done = true;
    else if (said.begun === true) begun = said.row;
    else {
      results.push(said);
      begun = undefined;
    }
  });
  const read = once(lines, "close");
  try {
    const how = await ended;
    await read;
    if (done) return results;
    const why = blocked ? `was blocked for ${silentMs} ms` : `ended (${how})`;
    // What a row leaves behind can end the process after its last line.
    const row = begun ?? results.pop()?.row;
    if (row === undefined) throw new Error(`Cannot run the conformance cases: ${why}: ${printed}`);
    return [...results, { row, passed: false, why: `the process ${why}: ${printed}` }];
  } finally {
    clearTimeout(watchdog);
  }
}

function commandOf({ runtime, isolation, node = process.execPath }, rows, limits) {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const setting = {
    runtime,
    isolation,
    rows,
    ...limits,
    preludeUrl: new URL("./node-globals.mjs", import.meta.url).href,
  };
  if (runtime === "deno") {
    const quiet = ["--no-prompt", "--no-config", "--no-check", "--no-lock", "--quiet"];
    const flags = ["run", ...quiet, "--unstable-worker-options", "--allow-all"];
    return [denoBin, [...flags, here("./run-cases.mjs"), JSON.stringify(setting)], env];
  }
  const flags = ["--no-warnings", "--import", setting.preludeUrl];
  return [
    node,
    [...flags, here("./run-cases.mjs"), JSON.stringify(setting)],
    { ...env, SPECTRA_CONFORMANCE: JSON.stringify({ isolation }) },
  ];
}
