/**
 * ARCHITECT.design_postgresql_schema: turns a profile into the DDL of the target, with reasons.
 *
 * @module
 */

import { z } from "zod";
import { archiveProfile } from "../../archive/profile.ts";
import { declaredQueries } from "../../archive/queries.ts";
import { designTarget } from "../../archive/target-design.ts";
import { capability } from "../../define-agent.ts";

export const designPostgresqlSchema = capability({
  description:
    "designs tables, the month partitions that are needed, and indexes for the declared queries",
  input: z.object({ profile: archiveProfile }),
  output: z.object({
    ddl: z.array(z.string()).readonly(),
    partitions: z
      .array(z.object({ name: z.string(), month: z.string().nullable(), messages: z.number() }))
      .readonly(),
    indexes: z
      .array(
        z.object({ name: z.string(), sql: z.string(), serves: z.array(z.string()).readonly() }),
      )
      .readonly(),
    queries: z.array(z.object({ name: z.string(), weight: z.string(), description: z.string() })),
    reasons: z.array(z.string()).readonly(),
  }),
  connections: 0,
  run: async (_ctx, { profile }) => ({
    ...designTarget(profile),
    queries: declaredQueries.map(({ name, weight, description }) => ({
      name,
      weight,
      description,
    })),
  }),
});
