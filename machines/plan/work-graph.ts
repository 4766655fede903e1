/**
 * The work of a run as a graph: nodes that take time and hold resources, edges that order them.
 *
 * @module
 */

/** Units of a pool that a node holds while it runs: `{ pool: "agent/DIRECTOR", units: 1 }`. */
export interface PoolUse {
  readonly pool: string;
  readonly units: number;
}

export interface WorkNode {
  readonly key: string;
  /** Keys of the nodes that must end before it begins. */
  readonly after: readonly string[];
  /** `milestone`: takes no time and holds nothing; it stands for the end of a stage. */
  readonly kind: "task" | "milestone";
  readonly uses: readonly PoolUse[];
  /** Higher first, where not all fit at once. */
  readonly priority: number;
}

/** Nodes by index, so that passes over thousands of them cost no look-ups. */
export interface WorkGraph {
  readonly nodes: readonly WorkNode[];
  readonly after: readonly (readonly number[])[];
  readonly dependents: readonly (readonly number[])[];
  /** Indexes in an order that respects `after`. */
  readonly order: readonly number[];
}

/** Edges to keys that are no nodes are left out: what they name is over, or never comes. @throws {Error} When there is a cycle. */
export function createWorkGraph(nodes: readonly WorkNode[]): WorkGraph {
  const indexOf = new Map(nodes.map(({ key }, index) => [key, index]));
  const after = nodes.map((node) => [
    ...new Set(node.after.flatMap((key) => indexOf.get(key) ?? [])),
  ]);
  const dependents: number[][] = nodes.map(() => []);
  for (const [index, before] of after.entries()) {
    for (const dependency of before) dependents[dependency]?.push(index);
  }
  return { nodes, after, dependents, order: topologicalOrder(nodes, after, dependents) };
}

/** Kahn's algorithm. */
function topologicalOrder(
  nodes: readonly WorkNode[],
  after: readonly (readonly number[])[],
  dependents: readonly (readonly number[])[],
): number[] {
  const missing = after.map(({ length }) => length);
  const order = missing.flatMap((count, index) => (count === 0 ? [index] : []));
  for (const index of order) {
    for (const dependent of dependents[index] ?? []) {
      const left = (missing[dependent] ?? 0) - 1;
      missing[dependent] = left;
      if (left === 0) order.push(dependent);
    }
  }
  if (order.length === nodes.length) return order;
  const stuck = nodes.filter((_, index) => (missing[index] ?? 0) > 0).map(({ key }) => key);
  throw new Error(`Cannot plan: there is a cycle among ${stuck.slice(0, 10).join(", ")}`);
}
