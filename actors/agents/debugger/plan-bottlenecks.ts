/**
 * Reads a plan that PostgreSQL measured (`explain (analyze, buffers, format json)`) and names what costs time.
 *
 * @module
 */

import { z } from "zod";

interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string | undefined;
  readonly "Actual Total Time": number;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Plan Rows": number;
  readonly "Rows Removed by Filter"?: number | undefined;
  readonly "Sort Space Type"?: string | undefined;
  readonly "Sort Space Used"?: number | undefined;
  readonly "Shared Read Blocks"?: number | undefined;
  readonly Plans?: readonly PlanNode[] | undefined;
}

const planNode: z.ZodType<PlanNode> = z.object({
  "Node Type": z.string(),
  "Relation Name": z.string().optional(),
  "Actual Total Time": z.number(),
  "Actual Rows": z.number(),
  "Actual Loops": z.number(),
  "Plan Rows": z.number(),
  "Rows Removed by Filter": z.number().optional(),
  "Sort Space Type": z.string().optional(),
  "Sort Space Used": z.number().optional(),
  "Shared Read Blocks": z.number().optional(),
  get Plans() {
    return z.array(planNode).optional();
  },
});

const planSchema = z.tuple([z.object({ Plan: planNode, "Execution Time": z.number() })]);

export interface PlanFacts {
  readonly executionMs: number;
  /** The step with the most time of its own, with its share of the whole (0 to 1). */
  readonly slowest: { readonly step: string; readonly ownMs: number; readonly share: number };
  /** One sentence each, with figures; empty when nothing stands out. */
  readonly bottlenecks: readonly string[];
}

/** @throws {ZodError} When `plan` is not what PostgreSQL gives for format json. */
export function readPlan(plan: unknown): PlanFacts {
  const [{ Plan: root, "Execution Time": executionMs }] = planSchema.parse(plan);
  const steps = [...walk(root)].map((node) => ({ step: nameOf(node), ownMs: ownMs(node), node }));
  const slowest = steps.reduce((a, b) => (b.ownMs > a.ownMs ? b : a));
  return {
    executionMs,
    slowest: {
      step: slowest.step,
      ownMs: slowest.ownMs,
      share: executionMs === 0 ? 0 : Math.min(1, slowest.ownMs / executionMs),
    },
    bottlenecks: steps.flatMap(({ node }) => bottlenecksOf(node)),
  };
}

function* walk(node: PlanNode): Generator<PlanNode> {
  yield node;
  for (const child of node.Plans ?? []) yield* walk(child);
}

function totalMs(node: PlanNode): number {
  return node["Actual Total Time"] * node["Actual Loops"];
}

/** Children that run in parallel workers add up to more than their parent, hence never below 0. */
function ownMs(node: PlanNode): number {
  const children = (node.Plans ?? []).reduce((sum, child) => sum + totalMs(child), 0);
  return Math.max(0, totalMs(node) - children);
}

function nameOf(node: PlanNode): string {
  const relation = node["Relation Name"];
  return relation === undefined ? node["Node Type"] : `${node["Node Type"]} on ${relation}`;
}

function bottlenecksOf(node: PlanNode): string[] {
  const found: string[] = [];
  const loops = node["Actual Loops"];
  const rows = node["Actual Rows"] * loops;
  const removed = (node["Rows Removed by Filter"] ?? 0) * loops;
  if (removed > 1_000 && removed > rows * 10) {
    found.push(`${nameOf(node)} reads ${removed + rows} rows to keep ${rows}`);
  }
  if (node["Sort Space Type"] === "Disk") {
    found.push(`${nameOf(node)} spills ${node["Sort Space Used"] ?? 0} kB to disk`);
  }
  const expected = node["Plan Rows"];
  const actual = Math.max(1, node["Actual Rows"]);
  // Only of tables: how many groups an expression gives is a guess even on fresh statistics.
  if (node["Relation Name"] !== undefined && loops > 0 && Math.max(expected, actual) > 1_000) {
    const off = Math.max(expected / actual, actual / expected);
    if (off > 100) {
      found.push(
        `${nameOf(node)} expected ${expected} rows and met ${actual}: statistics are stale`,
      );
    }
  }
  const readBlocks = node["Shared Read Blocks"] ?? 0;
  if (readBlocks > 1_000 && node.Plans === undefined) {
    found.push(`${nameOf(node)} fetches ${readBlocks} blocks from disk`);
  }
  return found;
}
