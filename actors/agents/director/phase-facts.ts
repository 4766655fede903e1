/**
 * What the review of Phase 1 is given, and the success criteria checked against it.
 *
 * @module
 */

import { z } from "zod";
import type { Criterion } from "../proposal.ts";
import { criterionTargets } from "./phase1-plan.ts";

const findingSchema = z.looseObject({ severity: z.string(), area: z.string(), detail: z.string() });

/** Outputs of earlier tasks, by task key: what is judged is named here, the rest goes into the report. */
export const phaseResultsSchema = z.looseObject({
  phase1_strategic_planning: z.looseObject({
    profile: z.looseObject({ url: z.string() }),
    criteria: criterionTargets,
  }),
  database_migration_execution: z.looseObject({
    runId: z.string(),
    read: z.number(),
    migrated: z.number(),
    rejected: z.number(),
    rejects: z.record(z.string(), z.number()),
  }),
  compression_performance_testing: z.looseObject({ spaceSaved: z.number() }),
  deduplication_testing: z.looseObject({ accuracy: z.number() }),
  system_integration_testing: z.looseObject({
    checks: z.array(z.looseObject({ name: z.string(), passed: z.boolean() })),
  }),
  performance_validation: z.looseObject({
    readSpeedup: z.number(),
    bottlenecks: z.array(z.string()),
  }),
  security_validation: z.looseObject({ findings: z.array(findingSchema) }),
});

export type PhaseResults = z.infer<typeof phaseResultsSchema>;

/** Each criterion of the plan with its measured figure; one that nothing measures is missed. */
export function checkCriteria(results: PhaseResults): Criterion[] {
  const measured = new Map([
    ["compression_space_saved", results.compression_performance_testing.spaceSaved * 100],
    ["deduplication_accuracy", results.deduplication_testing.accuracy * 100],
    ["read_speedup", results.performance_validation.readSpeedup],
  ]);
  return results.phase1_strategic_planning.criteria.map(({ name, unit, required }) => {
    const figure = measured.get(name) ?? null;
    return { name, unit, required, measured: figure, met: figure !== null && figure >= required };
  });
}

/** What the report lists besides figures: bottlenecks and security findings, the severe ones first. */
export function findingsOf(results: PhaseResults): { source: string; detail: string }[] {
  const order = ["high", "medium", "info"];
  const security = results.security_validation.findings
    .toSorted((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity))
    .map(({ severity, area, detail }) => ({ source: `security, ${area}, ${severity}`, detail }));
  const performance = results.performance_validation.bottlenecks.map((detail) => ({
    source: "performance",
    detail,
  }));
  return [...security, ...performance];
}
