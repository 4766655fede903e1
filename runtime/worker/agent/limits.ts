/**
 * How much of the machine an agent's thread may take.
 *
 * @module
 */

import { totalmem } from "node:os";
import type { AgentCard } from "../../../actors/define-agent.ts";

/** Machines with this much memory give agents their full budget; smaller ones a share. */
const fullMemoryMb = 16_384;
/** Less makes V8 give up before an agent has loaded its own modules and a batch of data. */
const minimumHeapMb = 256;
/** Codecs work on buffers: less than this is no sign of a fault. */
const minimumBufferMb = 512;
const defaultUnresponsiveMs = 30_000;
const defaultGraceMs = 3_000;

export interface ThreadLimits {
  /** Of V8's old generation. */
  readonly heapMb: number;
  /** Of buffers outside of the heap, where V8 sets no limit. */
  readonly bufferMb: number;
  /** A thread whose loop has not turned, and that has not called `heartbeat`, for this long is ended. */
  readonly unresponsiveMs: number;
  /** What an aborted attempt may take to end before the thread is ended. */
  readonly graceMs: number;
}

/** @param unresponsiveMs For agents that declare none. */
export function limitsOf(
  { limits, resources }: Pick<AgentCard, "limits" | "resources">,
  unresponsiveMs = defaultUnresponsiveMs,
  machineMemoryMb = totalmem() / 1_048_576,
): ThreadLimits {
  return {
    heapMb: heapLimitMb(resources.memoryMb, machineMemoryMb),
    bufferMb:
      limits?.bufferMb ??
      Math.max(minimumBufferMb, heapLimitMb(resources.memoryMb, machineMemoryMb)),
    unresponsiveMs: limits?.unresponsiveMs ?? unresponsiveMs,
    graceMs: limits?.graceMs ?? defaultGraceMs,
  };
}

/** Limit of a thread's old generation: the agent's budget, scaled to the machine. */
export function heapLimitMb(memoryMb: number, machineMemoryMb: number): number {
  const share = Math.min(1, machineMemoryMb / fullMemoryMb);
  return Math.max(minimumHeapMb, Math.round(memoryMb * share));
}
