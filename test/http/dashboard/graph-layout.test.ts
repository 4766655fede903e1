import fc from "fast-check";
import { expect, test } from "vitest";
import { layersOf, layoutGraph, NODE_HEIGHT } from "../../../http/dashboard/graph-layout.ts";
import type { WorkflowGraph } from "../../../runtime/system.ts";

function graphOf(stages: Record<string, Record<string, string[]>>): WorkflowGraph {
  const entries = Object.entries(stages);
  return {
    stages: entries.map(([name, tasks]) => ({ name, title: name, tasks: Object.keys(tasks) })),
    nodes: entries.flatMap(([stage, tasks]) =>
      Object.keys(tasks).map((key) => ({
        key,
        title: key,
        agent: "A",
        stage,
        status: "blocked" as const,
      })),
    ),
    edges: entries.flatMap(([, tasks]) =>
      Object.entries(tasks).flatMap(([to, after]) => after.map((from) => ({ from, to }))),
    ),
  };
}

const WEEK1 = {
  plan: [],
  cluster: ["plan"],
  coordinate: ["plan"],
  schema: ["plan"],
  migrate: ["cluster", "schema"],
  baseline: ["migrate"],
};

test("layersOf() puts each task below all that it comes after", () => {
  const graph = graphOf({ week1: WEEK1 });
  expect(layersOf(Object.keys(WEEK1), graph.edges)).toEqual([
    ["plan"],
    ["cluster", "coordinate", "schema"],
    ["migrate"],
    ["baseline"],
  ]);
});

test("layersOf() ends on a cycle", () => {
  const edges = [
    { from: "a", to: "b" },
    { from: "b", to: "a" },
  ];
  expect(layersOf(["a", "b"], edges).flat().sort()).toEqual(["a", "b"]);
});

test("layoutGraph() fits Phase 1 into the width of a desktop column", () => {
  const chain = { a: [], b: ["a"], c: ["b"], d: ["c"] };
  const rename = (week: string) =>
    Object.fromEntries(
      Object.entries(chain).map(([key, after]) => [
        `${week}${key}`,
        after.map((from) => week + from),
      ]),
    );
  const graph = graphOf({
    week1: WEEK1,
    week2: rename("2"),
    week3: rename("3"),
    week4: rename("4"),
  });
  const layout = layoutGraph(graph, 990);
  expect(layout.width).toBeLessThanOrEqual(990);
  expect(layout.lanes.map((lane) => lane.name)).toEqual(["week1", "week2", "week3", "week4"]);
});

test("layoutGraph() draws an edge between lanes from side to side", () => {
  const layout = layoutGraph(graphOf({ one: { a: [] }, two: { b: ["a"] } }), 600);
  const a = layout.nodes.find((node) => node.key === "a")!;
  expect(layout.edges).toHaveLength(1);
  expect(layout.edges[0]!.path).toMatch(`M${a.x + layout.nodeWidth} ${a.y + NODE_HEIGHT / 2}C`);
});

test("layoutGraph() gives a size to a graph without tasks", () => {
  expect(layoutGraph(graphOf({}), 600)).toMatchObject({ width: 0, nodes: [], edges: [] });
});

test("layoutGraph() never puts two tasks over each other, keeps them in their lane, and lets edges go down", () => {
  // Each task comes after some of those before it, so that there is no cycle.
  const stage = fc
    .array(fc.array(fc.nat({ max: 9 }), { maxLength: 3 }), { minLength: 1, maxLength: 9 })
    .map((tasks) =>
      tasks.map((after, index) => [...new Set(after.filter((from) => from < index))]),
    );
  fc.assert(
    fc.property(
      fc.array(stage, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 200, max: 2_000 }),
      (stages, width) => {
        const graph = graphOf(
          Object.fromEntries(
            stages.map((tasks, s) => [
              `s${s}`,
              Object.fromEntries(
                tasks.map((after, t) => [`${s}.${t}`, after.map((from) => `${s}.${from}`)]),
              ),
            ]),
          ),
        );
        const layout = layoutGraph(graph, width);
        expect(layout.nodes).toHaveLength(graph.nodes.length);
        const byKey = new Map(layout.nodes.map((node) => [node.key, node]));
        for (const [index, node] of layout.nodes.entries()) {
          for (const other of layout.nodes.slice(index + 1)) {
            const apart =
              Math.abs(node.x - other.x) >= layout.nodeWidth ||
              Math.abs(node.y - other.y) >= NODE_HEIGHT;
            expect(apart).toBe(true);
          }
          const lane = layout.lanes.find(({ name }) => node.key.startsWith(`${name.slice(1)}.`))!;
          expect(node.x).toBeGreaterThanOrEqual(lane.x);
          expect(node.x + layout.nodeWidth).toBeLessThanOrEqual(lane.x + lane.width);
          expect(node.y + NODE_HEIGHT).toBeLessThanOrEqual(layout.height);
        }
        for (const { from, to } of graph.edges) {
          expect(byKey.get(to)!.y).toBeGreaterThan(byKey.get(from)!.y);
        }
      },
    ),
  );
});
