/**
 * Runs one of our TypeScript files as a real process of its own, on any supported Node.
 *
 * @module
 */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { basename, resolve } from "node:path";
import { build } from "esbuild";

/** Inside the checkout, so that packages are found; and readable by every user. */
const BUNDLES = resolve(import.meta.dirname, "../../node_modules/.cache/spectra-test");

/** Bundles `entry` (a path from test/) with our own files; packages stay outside. */
export async function bundle(entry: string, folder = BUNDLES): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const outfile = `${folder}/${basename(entry, ".ts")}-${process.pid}.mjs`;
  await build({
    entryPoints: [resolve(import.meta.dirname, "..", entry)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    logLevel: "error",
  });
  return outfile;
}

export interface Child {
  readonly process: ChildProcessWithoutNullStreams;
  readonly pid: number;
  /** The next line that it prints, parsed as JSON. Rejects if it ends without one. */
  next(): Promise<Record<string, unknown>>;
  tell(line: string): void;
  /** Settles when it is gone; what it wrote to stderr. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>;
}

/** Starts a bundle as a process group of its own, as another user if given. */
export function startChild(
  script: string,
  args: readonly string[],
  account: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): Child {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: "/",
    detached: true,
    ...account,
    stdio: ["pipe", "pipe", "pipe"],
  });
  let rest = "";
  let stderr = "";
  const lines: string[] = [];
  const waiting: { resolve(line: string): void; reject(error: Error): void }[] = [];
  child.stdout.on("data", (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      const waiter = waiting.shift();
      if (waiter === undefined) lines.push(line);
      else waiter.resolve(line);
    }
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdin.on("error", () => undefined);
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>(
    (done) => {
      child.once("close", (code, signal) => {
        for (const { reject } of waiting.splice(0)) reject(new Error(`child ended: ${stderr}`));
        done({ code, signal, stderr });
      });
    },
  );
  return {
    process: child,
    pid: child.pid!,
    next: async () => {
      const line =
        lines.shift() ??
        (await new Promise<string>((resolve, reject) => waiting.push({ resolve, reject })));
      return JSON.parse(line) as Record<string, unknown>;
    },
    tell: (line) => child.stdin.write(`${line}\n`),
    ended,
  };
}
