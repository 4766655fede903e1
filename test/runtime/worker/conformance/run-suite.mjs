/**
 * Runs the cases in a process of their own and collects what it says; a row that ends the process
 * has failed, and the others run in the next one.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { cases } from "./cases/index.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
/** Of output that is kept to explain a row that ended its process. */
const keptOutput = 2_000;

/** The file that npm's package `deno` starts. */
export const denoBin = here("../../../../node_modules/.bin/deno");

/**
 * @typedef {{ runtime: "deno" } | { runtime: "node", isolation: "thread" | "process" | "deno", node?: string }} Target
 * `node`: the binary, by default the one that runs this.
 */

/**
 * @param {Target} target
 * @returns {Promise<Map<number, { title: string, passed: boolean, why?: string }>>} by row
 */
export async function runSuite(target, rows = cases.map(([row]) => row)) {
  const results = new Map();
  let left = [...rows];
  while (left.length > 0) {
    const before = left.length;
    for (const { row, passed, why } of await runProcess(target, left)) {
      const title = cases.find(([number]) => number === row)?.[1] ?? "";
      results.set(row, { title, passed, ...(why === undefined ? {} : { why }) });
    }
    left = left.filter((row) => !results.has(row));
    if (left.length === before) throw new Error(`Cannot run rows ${left}: the runner said nothing`);
  }
  return results;
}

async function runProcess(target, rows) {
  const [command, args, env] = commandOf(target, rows);
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const results = [];
  let begun;
  let printed = "";
  child.stderr.on("data", (chunk) => {
    printed = `${printed}${chunk}`.slice(-keptOutput);
  });
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(signal ?? code));
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith("@@")) continue;
    const said = JSON.parse(line.slice(2));
    if (said.begun === true) begun = said.row;
    else if (said.row !== undefined) {
      results.push(said);
      begun = undefined;
    }
  }
  const how = await ended;
  if (begun !== undefined) {
    results.push({ row: begun, passed: false, why: `the process ended (${how}): ${printed}` });
  } else if (results.length === 0) {
    throw new Error(`Cannot run the conformance cases: the process ended (${how}): ${printed}`);
  }
  return results;
}

function commandOf({ runtime, isolation, node = process.execPath }, rows) {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const setting = {
    runtime,
    isolation,
    rows,
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
