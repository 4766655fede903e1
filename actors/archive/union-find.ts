/**
 * Disjoint sets of message ids, with path halving; the smallest id of a set is its root.
 *
 * @module
 */

export interface UnionFind {
  /** The smallest id of the set; an unknown id is a set of its own. */
  find(id: string): string;
  /** Joins the two sets. False when they were one already. */
  join(a: string, b: string): boolean;
  /** Ids that were ever joined, by root. */
  sets(): Map<string, string[]>;
}

/** Orders decimal ids as numbers without converting them. */
export function compareIds(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

export function createUnionFind(): UnionFind {
  const parents = new Map<string, string>();
  const find = (id: string): string => {
    let at = id;
    for (;;) {
      const parent = parents.get(at) ?? at;
      if (parent === at) return at;
      const grandparent = parents.get(parent) ?? parent;
      parents.set(at, grandparent);
      at = grandparent;
    }
  };
  return {
    find,
    join(a, b) {
      const [first, second] = [find(a), find(b)];
      if (first === second) return false;
      const [root, child] = compareIds(first, second) < 0 ? [first, second] : [second, first];
      parents.set(root, root);
      parents.set(child, root);
      return true;
    },
    sets() {
      const sets = new Map<string, string[]>();
      for (const id of [...parents.keys()].sort(compareIds)) {
        const root = find(id);
        const members = sets.get(root) ?? [];
        members.push(id);
        sets.set(root, members);
      }
      return sets;
    },
  };
}
