import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CriticalPath, criticalPath } from "../../../machines/plan/critical-path.ts";
import { checkpoints, parallelGroups } from "../../../machines/plan/parallel-groups.ts";
import {
  createWorkGraph,
  type WorkGraph,
  type WorkNode,
} from "../../../machines/plan/work-graph.ts";
import { anyWork, type DraftNode } from "../../support/random-graph.ts";

function planOf(drafts: readonly DraftNode[]): { graph: WorkGraph; result: CriticalPath } {
  const graph = createWorkGraph(drafts.map(({ node }) => node));
  const result = criticalPath(graph, (index) => ({ durationMs: drafts[index]!.durationMs }));
  return { graph, result };
}

/** Every chain from a node without dependencies to any node, tried out. */
function longestChainMs(drafts: readonly DraftNode[]): number {
  const byKey = new Map(drafts.map((draft) => [draft.node.key, draft]));
  const endingWith = (draft: DraftNode): number =>
    draft.durationMs + Math.max(0, ...draft.node.after.map((key) => endingWith(byKey.get(key)!)));
  return Math.max(...drafts.map(endingWith));
}

function task(key: string, after: readonly string[] = []): WorkNode {
  return { key, after, kind: "task", uses: [], priority: 3 };
}

/** A diamond: b takes longer than c. */
const diamond: readonly DraftNode[] = [
  { node: task("a"), durationMs: 10 },
  { node: task("b", ["a"]), durationMs: 30 },
  { node: task("c", ["a"]), durationMs: 5 },
  { node: task("d", ["b", "c"]), durationMs: 10 },
];

describe("criticalPath()", () => {
  test("finds the longest chain of a diamond and the slack of the other", () => {
    const { graph, result } = planOf(diamond);
    expect(result.finishMs).toBe(50);
    expect(result.path.map((index) => graph.nodes[index]?.key)).toEqual(["a", "b", "d"]);
    expect(result.times.map(({ slackMs }) => slackMs)).toEqual([0, 0, 25, 0]);
  });

  test("is as long as the longest chain, found by trying all of them", () => {
    fc.assert(
      fc.property(anyWork(12), (drafts) => {
        expect(planOf(drafts).result.finishMs).toBe(longestChainMs(drafts));
      }),
      { numRuns: 500 },
    );
  });

  test("its path is a chain of dependencies without slack, as long as the whole", () => {
    fc.assert(
      fc.property(anyWork(40), (drafts) => {
        const { graph, result } = planOf(drafts);
        const sum = result.path.reduce((all, index) => all + drafts[index]!.durationMs, 0);
        expect(sum).toBe(result.finishMs);
        for (const [position, index] of result.path.entries()) {
          expect(result.times[index]?.slackMs).toBe(0);
          const next = result.path[position + 1];
          if (next !== undefined) expect(graph.after[next]).toContain(index);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("slack is what a node may take longer without delaying the whole, and no more", () => {
    fc.assert(
      fc.property(anyWork(15), fc.nat(1_000), (drafts, pick) => {
        const { result } = planOf(drafts);
        const index = pick % drafts.length;
        const slackMs = result.times[index]!.slackMs;
        expect(slackMs).toBeGreaterThanOrEqual(0);
        const longerBy = (extraMs: number) =>
          planOf(
            drafts.map((draft, other) =>
              other === index ? { ...draft, durationMs: draft.durationMs + extraMs } : draft,
            ),
          ).result.finishMs;
        expect(longerBy(slackMs)).toBe(result.finishMs);
        expect(longerBy(slackMs + 1)).toBe(result.finishMs + 1);
      }),
      { numRuns: 500 },
    );
  });

  test("is monotone: no longer task and no further dependency makes it shorter", () => {
    fc.assert(
      fc.property(anyWork(20), fc.nat(1_000), fc.nat(1_000), (drafts, pick, other) => {
        const before = planOf(drafts).result.finishMs;
        const late = pick % drafts.length;
        const more = drafts.map((draft, index) => {
          if (index !== late || index === 0) return { ...draft, durationMs: draft.durationMs + 1 };
          const after = [...new Set([...draft.node.after, `n${other % index}`])];
          return { ...draft, node: { ...draft.node, after } };
        });
        expect(planOf(more).result.finishMs).toBeGreaterThanOrEqual(before);
      }),
    );
  });

  test("takes what has begun as it is, and starts nothing before its time", () => {
    const graph = createWorkGraph(diamond.map(({ node }) => node));
    const { times } = criticalPath(graph, (index) => ({
      durationMs: diamond[index]!.durationMs,
      ...(index === 1 ? { begunAtMs: 14 } : {}),
      ...(index === 2 ? { notBeforeMs: 100 } : {}),
    }));
    expect(times.map(({ startMs }) => startMs)).toEqual([0, 14, 100, 105]);
  });
});

describe("createWorkGraph()", () => {
  test("refuses a cycle by its keys", () => {
    expect(() => createWorkGraph([task("a", ["b"]), task("b", ["a"])])).toThrow(
      "Cannot plan: there is a cycle among a, b",
    );
  });
});

describe("parallelGroups()", () => {
  test("puts tasks of the same depth together", () => {
    const graph = createWorkGraph(diamond.map(({ node }) => node));
    expect(parallelGroups(graph)).toEqual([
      { level: 1, keys: ["a"] },
      { level: 2, keys: ["b", "c"] },
      { level: 3, keys: ["d"] },
    ]);
  });

  test("holds each task once, and no two of a group depend on each other", () => {
    fc.assert(
      fc.property(anyWork(20), (drafts) => {
        const graph = createWorkGraph(drafts.map(({ node }) => node));
        const groups = parallelGroups(graph);
        const tasks = drafts.filter(({ node }) => node.kind === "task").map(({ node }) => node.key);
        expect(groups.flatMap(({ keys }) => keys).toSorted()).toEqual(tasks.toSorted());
        const before = ancestors(drafts);
        for (const { keys } of groups) {
          for (const key of keys) {
            expect(keys.filter((other) => before.get(key)?.has(other))).toEqual([]);
          }
        }
      }),
    );
  });
});

describe("checkpoints()", () => {
  test("are exactly the nodes that every other node comes before or after", () => {
    fc.assert(
      fc.property(anyWork(9), (drafts) => {
        const graph = createWorkGraph(drafts.map(({ node }) => node));
        const before = ancestors(drafts);
        const expected = drafts
          .map(({ node }) => node.key)
          .filter((key) =>
            drafts.every(
              ({ node: other }) =>
                other.key === key ||
                before.get(key)!.has(other.key) ||
                before.get(other.key)!.has(key),
            ),
          );
        const found = checkpoints(graph).map((index) => graph.nodes[index]?.key ?? "");
        expect(found.toSorted()).toEqual(expected.toSorted());
      }),
      { numRuns: 1_000 },
    );
  });
});

function ancestors(drafts: readonly DraftNode[]): Map<string, Set<string>> {
  const all = new Map<string, Set<string>>();
  for (const { node } of drafts) {
    const own = new Set(node.after);
    for (const key of node.after) for (const further of all.get(key) ?? []) own.add(further);
    all.set(node.key, own);
  }
  return all;
}
