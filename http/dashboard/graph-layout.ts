/**
 * Where the tasks of a workflow stand: stages are lanes from left to right, and inside a lane the
 * tasks flow from top to bottom by the longest path (a layered layout after Sugiyama, without
 * crossing minimisation beyond one barycentre pass: a stage has few tasks).
 *
 * @module
 */

import type { WorkflowGraph } from "../../runtime/system.ts";

export interface PlacedNode {
  readonly key: string;
  readonly x: number;
  readonly y: number;
}

export interface PlacedLane {
  readonly name: string;
  readonly title: string;
  readonly x: number;
  readonly width: number;
}

export interface PlacedEdge {
  readonly from: string;
  readonly to: string;
  /** SVG path data. */
  readonly path: string;
}

/** All in CSS pixels, origin at the top left. */
export interface GraphLayout {
  readonly width: number;
  readonly height: number;
  readonly nodeWidth: number;
  readonly nodeHeight: number;
  readonly lanes: readonly PlacedLane[];
  readonly nodes: readonly PlacedNode[];
  readonly edges: readonly PlacedEdge[];
}

export const NODE_HEIGHT = 100;
const MIN_NODE_WIDTH = 132;
const MAX_NODE_WIDTH = 230;
const LANE_GAP = 12;
const LANE_PADDING = 12;
const LANE_HEADER = 52;
const COLUMN_GAP = 10;
const ROW_GAP = 26;

/** Layer of each task: 0 for those without a predecessor in the set. A cycle's tasks end in layer 0. */
export function layersOf(
  keys: readonly string[],
  edges: readonly { from: string; to: string }[],
): string[][] {
  const inside = new Set(keys);
  const before = new Map<string, string[]>(keys.map((key) => [key, []]));
  for (const { from, to } of edges) {
    if (inside.has(from) && inside.has(to)) before.get(to)?.push(from);
  }
  const depths = new Map<string, number>();
  const depthOf = (key: string, path: ReadonlySet<string>): number => {
    const known = depths.get(key);
    if (known !== undefined) return known;
    if (path.has(key)) return -1;
    const further = new Set(path).add(key);
    const depth =
      Math.max(-1, ...(before.get(key) ?? []).map((from) => depthOf(from, further))) + 1;
    depths.set(key, depth);
    return depth;
  };
  const layers: string[][] = [];
  for (const key of keys) {
    const depth = depthOf(key, new Set());
    (layers[depth] ??= []).push(key);
  }
  return Array.from(layers, (layer) => layer ?? []);
}

/** Orders each layer by the average place of its predecessors, so that edges cross less. */
function untangle(layers: string[][], edges: readonly { from: string; to: string }[]): string[][] {
  const place = new Map<string, number>();
  return layers.map((layer) => {
    const weight = (key: string, index: number): number => {
      const froms = edges.filter((edge) => edge.to === key).map((edge) => place.get(edge.from));
      const known = froms.filter((from) => from !== undefined);
      if (known.length === 0) return (index + 0.5) / layer.length;
      return known.reduce((sum, from) => sum + from, 0) / known.length;
    };
    const weights = new Map(layer.map((key, index) => [key, weight(key, index)]));
    const ordered = layer.toSorted((a, b) => (weights.get(a) ?? 0) - (weights.get(b) ?? 0));
    ordered.forEach((key, index) => place.set(key, (index + 0.5) / ordered.length));
    return ordered;
  });
}

export function layoutGraph(graph: WorkflowGraph, availableWidth: number): GraphLayout {
  const stages = graph.stages.map((stage) => {
    const layers = untangle(layersOf(stage.tasks, graph.edges), graph.edges);
    return { ...stage, layers, columns: Math.max(1, ...layers.map((layer) => layer.length)) };
  });
  const columns = stages.reduce((sum, stage) => sum + stage.columns, 0);
  const fixed =
    stages.length * LANE_PADDING * 2 +
    Math.max(0, stages.length - 1) * LANE_GAP +
    (columns - stages.length) * COLUMN_GAP;
  const fair = columns === 0 ? MIN_NODE_WIDTH : Math.floor((availableWidth - fixed) / columns);
  const nodeWidth = Math.min(MAX_NODE_WIDTH, Math.max(MIN_NODE_WIDTH, fair));
  const rows = Math.max(1, ...stages.map((stage) => stage.layers.length));

  const lanes: PlacedLane[] = [];
  const nodes: PlacedNode[] = [];
  let x = 0;
  for (const { name, title, layers, columns: wide } of stages) {
    const inner = wide * nodeWidth + (wide - 1) * COLUMN_GAP;
    lanes.push({ name, title, x, width: inner + 2 * LANE_PADDING });
    for (const [row, layer] of layers.entries()) {
      const used = layer.length * nodeWidth + (layer.length - 1) * COLUMN_GAP;
      const left = x + LANE_PADDING + (inner - used) / 2;
      for (const [column, key] of layer.entries()) {
        nodes.push({
          key,
          x: left + column * (nodeWidth + COLUMN_GAP),
          y: LANE_HEADER + row * (NODE_HEIGHT + ROW_GAP),
        });
      }
    }
    x += inner + 2 * LANE_PADDING + LANE_GAP;
  }
  return {
    width: Math.max(0, x - LANE_GAP),
    height: LANE_HEADER + rows * NODE_HEIGHT + (rows - 1) * ROW_GAP + LANE_PADDING,
    nodeWidth,
    nodeHeight: NODE_HEIGHT,
    lanes,
    nodes,
    edges: pathsOf(graph, nodes, nodeWidth),
  };
}

function pathsOf(
  graph: WorkflowGraph,
  nodes: readonly PlacedNode[],
  nodeWidth: number,
): PlacedEdge[] {
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const laneOf = new Map(
    graph.stages.flatMap(({ name, tasks }) => tasks.map((key) => [key, name])),
  );
  return graph.edges.flatMap(({ from, to }) => {
    const start = byKey.get(from);
    const end = byKey.get(to);
    if (start === undefined || end === undefined) return [];
    const path =
      laneOf.get(from) === laneOf.get(to)
        ? downward(start, end, nodeWidth)
        : sideways(start, end, nodeWidth);
    return [{ from, to, path }];
  });
}

function downward(start: PlacedNode, end: PlacedNode, nodeWidth: number): string {
  const [x1, y1] = [start.x + nodeWidth / 2, start.y + NODE_HEIGHT];
  const [x2, y2] = [end.x + nodeWidth / 2, end.y - 2];
  const middle = y1 + ROW_GAP / 2;
  return `M${x1} ${y1}C${x1} ${middle + 4} ${x2} ${y2 - ROW_GAP / 2 - 4} ${x2} ${y2}`;
}

function sideways(start: PlacedNode, end: PlacedNode, nodeWidth: number): string {
  const [x1, y1] = [start.x + nodeWidth, start.y + NODE_HEIGHT / 2];
  const [x2, y2] = [end.x - 2, end.y + NODE_HEIGHT / 2];
  const bend = Math.max(24, (x2 - x1) / 2);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}
