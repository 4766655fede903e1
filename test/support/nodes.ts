/**
 * Node binaries of all versions that SPECTRA supports.
 * Suites run under the machine's own; what depends on the version runs plain scripts over `dist` on each.
 *
 * @module
 */

import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const installer = fileURLToPath(new URL("../../scripts/install-nodes.mjs", import.meta.url));
/** Versions that are installed for tests; `scripts/install-nodes.mjs` knows them too, for `npm test`. */
const installed = ["22", "24", "26"];
const ownMajor = process.versions.node.split(".")[0] ?? "";

/** Major versions to test on, the machine's own first. */
export const nodeMajors: readonly string[] = [...new Set([ownMajor, ...installed])];

const paths = new Map([[ownMajor, process.execPath]]);

/** Path of the binary; installed into `node_modules/.cache` when it is not there. @throws {Error} When it cannot be. */
export function nodeBinary(major: string): string {
  const known = paths.get(major);
  if (known !== undefined) return known;
  const { stdout, stderr, status } = spawnSync(process.execPath, [installer, major], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`Cannot test on Node ${major}: ${stderr}`);
  const path = stdout.trim();
  paths.set(major, path);
  return path;
}

export interface ScriptResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `node <args>` of a major version to its end. */
export async function runNode(
  major: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): Promise<ScriptResult> {
  const child = spawn(nodeBinary(major), args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { code, ...output };
}
