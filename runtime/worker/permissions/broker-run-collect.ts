/**
 * Runs a child to its end for a worker that waits, and tells all of it in one answer.
 *
 * @module
 */

import type { ChildProcess } from "node:child_process";
import { refusalOf } from "./broker-host.ts";

export interface SyncLimits {
  /** Default: none. */
  readonly timeoutMs?: number;
  /** Of stdout and of stderr, each; never more than 256 MiB. */
  readonly maxBytes?: number;
  readonly killSignal?: NodeJS.Signals | number;
  readonly input?: Uint8Array;
}

export interface CollectedRun {
  readonly type: "done";
  readonly pid: number;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** Why it was ended. */
  readonly problem?: "ETIMEDOUT" | "ENOBUFS";
}

const mostBytes = 268_435_456;

export function collect(
  child: ChildProcess,
  { timeoutMs = 0, maxBytes = mostBytes, input }: SyncLimits,
  kill: () => void,
  answer: (message: unknown) => void,
): void {
  let problem: CollectedRun["problem"];
  const end = (why: CollectedRun["problem"]): void => {
    problem ??= why;
    kill();
  };
  const limit = Math.min(maxBytes, mostBytes);
  const stdout = gather(child.stdout, limit, () => end("ENOBUFS"));
  const stderr = gather(child.stderr, limit, () => end("ENOBUFS"));
  const timer = timeoutMs > 0 ? setTimeout(() => end("ETIMEDOUT"), timeoutMs) : undefined;
  child.once("error", (error) => {
    clearTimeout(timer);
    answer(refusalOf(error));
  });
  child.once("close", (status, signal) => {
    clearTimeout(timer);
    answer({
      type: "done",
      pid: child.pid ?? 0,
      status,
      signal,
      stdout: stdout(),
      stderr: stderr(),
      ...(problem === undefined ? {} : { problem }),
    } satisfies CollectedRun);
  });
  // A program need not read its input: that its pipe breaks is no error.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(input);
}

function gather(
  stream: ChildProcess["stdout"],
  maxBytes: number,
  onTooMuch: () => void,
): () => Uint8Array {
  const chunks: Uint8Array[] = [];
  let left = maxBytes;
  stream?.on("data", (chunk: Buffer) => {
    if (left <= 0) return;
    chunks.push(chunk.subarray(0, left));
    left -= chunk.byteLength;
    if (left < 0) onTooMuch();
  });
  return () => Buffer.concat(chunks);
}
