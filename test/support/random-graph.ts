/**
 * Random graphs of work for property tests.
 *
 * @module
 */

import fc from "fast-check";
import type { WorkNode } from "../../machines/plan/work-graph.ts";

export interface DraftNode {
  readonly node: WorkNode;
  readonly durationMs: number;
}

/** Nodes wait only for nodes before them, so there is no cycle. */
export function anyWork(maxNodes: number, agents = 3): fc.Arbitrary<readonly DraftNode[]> {
  const draft = fc.record({
    after: fc.array(fc.nat(1_000), { maxLength: 3 }),
    durationMs: fc.integer({ min: 1, max: 1_000 }),
    agent: fc.nat(agents - 1),
    priority: fc.integer({ min: 1, max: 5 }),
    milestone: fc.boolean(),
  });
  return fc.array(draft, { minLength: 1, maxLength: maxNodes }).map((drafts) =>
    drafts.map(({ after, agent, durationMs, milestone, priority }, index): DraftNode => {
      const isMilestone = milestone && index % 4 === 3;
      return {
        durationMs: isMilestone ? 0 : durationMs,
        node: {
          key: `n${index}`,
          after: index === 0 ? [] : [...new Set(after.map((pick) => `n${pick % index}`))],
          kind: isMilestone ? "milestone" : "task",
          uses: isMilestone ? [] : [{ pool: `agent/${agent}`, units: 1 }],
          priority,
        },
      };
    }),
  );
}
