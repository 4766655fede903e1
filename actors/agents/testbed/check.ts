/**
 * One check of an integration test: its name, whether it held, and what was measured.
 *
 * @module
 */

import { z } from "zod";
import { toErrorRecord } from "../../../machines/error-code.ts";
import type { AgentContext } from "../../ports.ts";

export const checkSchema = z.object({
  name: z.string(),
  passed: z.boolean(),
  /** What was measured, by name with its unit. */
  figures: z.record(z.string(), z.number()),
  durationMs: z.number(),
  /** Why it did not hold. */
  problem: z.string().optional(),
});

export type Check = z.infer<typeof checkSchema>;

/** What a check found out; a `problem` makes it fail. */
export interface Finding {
  readonly figures: Readonly<Record<string, number>>;
  readonly problem?: string | undefined;
}

/** Runs one check. What it throws is its problem, unless the attempt itself was aborted. */
export async function runCheck(
  ctx: AgentContext,
  name: string,
  perform: () => Promise<Finding>,
): Promise<Check> {
  ctx.signal.throwIfAborted();
  ctx.heartbeat({ message: name });
  const startMs = ctx.clock.monotonicMs();
  const finding = await perform().catch((error: unknown): Finding => {
    ctx.signal.throwIfAborted();
    const { code, message } = toErrorRecord(error);
    return { figures: {}, problem: `${code}: ${message}` };
  });
  const durationMs = ctx.clock.monotonicMs() - startMs;
  const { figures, problem } = finding;
  const passed = problem === undefined;
  return { name, passed, figures: { ...figures }, durationMs, ...(passed ? {} : { problem }) };
}
