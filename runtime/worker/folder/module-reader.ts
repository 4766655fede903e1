/**
 * Looks at a module of unknown code in a thread that is thrown away, so that one that loops, exits,
 * throws or takes all memory while it is loaded hurts nobody. The thread holds no permission but to read code:
 * what a definition grants is for its actions, not for the top of its module.
 *
 * @module
 */

import { Worker } from "node:worker_threads";
import type { AgentCard } from "../../../actors/define-agent.ts";
import { noPermissions } from "../../../machines/permissions.ts";
import { codeRootsOf, threadExecArgv } from "../permissions/exec-argv.ts";
import { compiledUrl } from "../thread-url.ts";

/** Loading is importing packages and calling `defineAgent`; also on a busy machine that is less. */
const defaultDeadlineMs = 15_000;
const defaultHeapMb = 256;

/** What a module exports, as data. */
export interface ModuleContents {
  readonly agents: readonly AgentCard[];
  /** As they were written; not yet parsed. */
  readonly workflows: readonly unknown[];
}

/** What went wrong, in words that continue the name of the file; `stack` has the user's lines. */
export interface ReadFailure {
  readonly message: string;
  readonly stack: string;
}

/** What the thread says, once. */
export type ReaderFrame =
  | { readonly type: "read"; readonly contents: ModuleContents }
  | { readonly type: "failed"; readonly failure: ReadFailure };

export type ReadOutcome = ReaderFrame;

/** `workerData` of the thread. */
export interface ReaderData {
  readonly moduleUrl: string;
}

/** Never rejects; settles within the deadline, and leaves no thread. */
export async function readModule(
  moduleUrl: string,
  limits: { readonly deadlineMs?: number; readonly heapMb?: number } = {},
): Promise<ReadOutcome> {
  const deadlineMs = limits.deadlineMs ?? defaultDeadlineMs;
  const heapMb = limits.heapMb ?? defaultHeapMb;
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const entry = compiledUrl(new URL(`./module-reader-thread.${extension}`, import.meta.url));
  const worker = new Worker(new URL(entry), {
    workerData: { moduleUrl } satisfies ReaderData,
    env: {},
    execArgv: threadExecArgv(noPermissions, codeRootsOf(moduleUrl, noPermissions)),
    resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: 32 },
    // Nobody reads what it prints: a module is looked at more often than it runs.
    stdout: true,
    stderr: true,
  });
  worker.stdout.resume();
  worker.stderr.resume();
  let timer: NodeJS.Timeout | undefined;
  const outcome = await new Promise<ReadOutcome>((resolve) => {
    const fail = (message: string, stack = ""): void =>
      resolve({ type: "failed", failure: { message, stack } });
    timer = setTimeout(() => {
      fail(`it was not loaded within ${deadlineMs} ms; a module must not wait or work at its top`);
    }, deadlineMs);
    worker.once("message", (frame: ReaderFrame) => resolve(frame));
    worker.once("error", (error: unknown) => {
      const { code, message, stack } = (error ?? {}) as NodeJS.ErrnoException;
      if (code === "ERR_WORKER_OUT_OF_MEMORY") {
        fail(`it took more than ${heapMb} MB of memory while it was loaded`);
      } else fail(message ?? String(error), stack);
    });
    worker.once("exit", (code) => {
      fail(
        code === 13
          ? "it waits at its top for something that never comes"
          : `it ended itself with code ${code} while it was loaded`,
      );
    });
  });
  clearTimeout(timer);
  await worker.terminate();
  return outcome;
}
