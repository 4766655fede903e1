/**
 * The real supervisor as a child process, driven as a user would: flags, standard output, HTTP.
 *
 * @module
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import type { JournalEntry, Page, TaskView, WorkflowView } from "../../runtime/system.ts";
import { builtMain, ensureBuilt } from "./build.ts";

const startLimitMs = 60_000;

export interface SupervisorProcess {
  readonly pid: number;
  readonly url: string;
  /** All that it wrote so far. */
  readonly output: () => string;
  /** Settles with the exit code, or 128 + n after signal n. */
  readonly exited: Promise<number>;
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: unknown): Promise<T>;
  kill(signal: NodeJS.Signals): void;
}

export interface StartedProcess {
  readonly process: ChildProcess;
  readonly output: () => string;
  readonly exited: Promise<number>;
}

/** Starts the command line with any arguments; does not wait for anything. */
export function spawnSupervisor(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): StartedProcess {
  const child = spawn(process.execPath, [builtMain, "supervisor", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/tmp", ...env },
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  const signals: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };
  const exited = once(child, "close").then(([code, signal]) =>
    code === null ? 128 + (signals[String(signal)] ?? 0) : Number(code),
  );
  return { process: child, output: () => text, exited };
}

/** Starts a supervisor and resolves when it printed its `ready` line. */
export async function startSupervisor(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<SupervisorProcess> {
  await ensureBuilt();
  const started = spawnSupervisor(["--port", "0", ...args], env);
  const url = await untilReady(started);
  const call = async <T>(path: string, init?: RequestInit): Promise<T> => {
    const response = await fetch(`${url}/api/v1${path}`, init);
    const body = await response.text();
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${body}`);
    return JSON.parse(body) as T;
  };
  return {
    pid: started.process.pid ?? 0,
    url,
    output: started.output,
    exited: started.exited,
    get: (path) => call(path),
    post: (path, body) =>
      call(path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body ?? {}),
      }),
    kill: (signal) => {
      started.process.kill(signal);
    },
  };
}

async function untilReady({ process: child, output, exited }: StartedProcess): Promise<string> {
  const deadline = performance.now() + startLimitMs;
  let isGone = false;
  void exited.then(() => {
    isGone = true;
  });
  while (performance.now() < deadline) {
    const url = /^ready (\S+)$/m.exec(output())?.[1];
    if (url !== undefined) return url;
    if (isGone) throw new Error(`The supervisor ended before it was ready:\n${output()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill("SIGKILL");
  throw new Error(`The supervisor was not ready in ${startLimitMs} ms:\n${output()}`);
}

/** The newest run of a workflow on this supervisor. */
export async function newestRun(
  supervisor: SupervisorProcess,
  workflow: string,
): Promise<WorkflowView> {
  for (;;) {
    const page = await supervisor.get<Page<WorkflowView>>(
      `/workflows?workflow=${workflow}&limit=1`,
    );
    if (page.items[0] !== undefined) return page.items[0];
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function tasksOf(
  supervisor: SupervisorProcess,
  id: string,
): Promise<readonly TaskView[]> {
  const body = await supervisor.get<Page<TaskView>>(`/workflows/${id}/tasks`);
  return body.items;
}

export async function historyOf(
  supervisor: SupervisorProcess,
  id: string,
): Promise<readonly JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for (;;) {
    const after = entries.at(-1)?.seq ?? 0;
    const page = await supervisor.get<Page<JournalEntry>>(
      `/workflows/${id}/history?after=${after}&limit=1000`,
    );
    if (page.items.length === 0) return entries;
    entries.push(...page.items);
  }
}

/** Processes whose command line names the data folder: the supervisor, its guard, its Postgres. */
export function processesOf(dataDir: string): string[] {
  const { stdout } = spawnSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" });
  return stdout.split("\n").filter((line) => line.includes(dataDir));
}
