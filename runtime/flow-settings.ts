/**
 * The schema of the key `limits`: what `machines/flow-options` calls `FlowLimits`, checked.
 *
 * @module
 */

import { z } from "zod";
import type { FlowLimits } from "../machines/flow-options.ts";

const dayMs = 86_400_000;
/** Entries that one kind of limit may have. */
const maxEntries = 1_000;

const rate = z.strictObject({
  limit: z.int().min(1).max(1_000_000),
  perMs: z.int().min(1).max(dayMs),
  burst: z.int().min(1).max(1_000_000).optional(),
});
const pool = z.strictObject({
  limit: z.int().min(1).max(100_000).optional(),
  rate: rate.optional(),
});

function byName<T extends z.ZodType>(value: T) {
  return z
    .record(z.string().min(1).max(500), value)
    .refine((entries) => Object.keys(entries).length <= maxEntries);
}

export const flowSchema: z.ZodType<FlowLimits> = z.strictObject({
  global: pool.optional(),
  agents: byName(pool).optional(),
  keys: byName(pool).optional(),
  tenants: byName(z.strictObject({ weight: z.number().min(0.01).max(1_000) })).optional(),
  ageingMs: z.int().min(1).max(dayMs).optional(),
}) as z.ZodType<FlowLimits>;
