/**
 * Deadlocks among waiting runs: a parent waits for a child, the child waits for a slot that its
 * parent holds.
 *
 * @module
 */

/** Somebody who waits: any one of `for` moving on lets it move on too. */
export interface Waiter {
  readonly id: string;
  readonly for: readonly string[];
}

/**
 * One cycle of waiters none of whom can ever move on, each waiting for the next and the last for
 * the first; undefined when there is none. Who is not in the list can move on by itself.
 */
export function findWaitCycle(waiters: readonly Waiter[]): readonly string[] | undefined {
  const stuck = new Map(waiters.map((waiter) => [waiter.id, waiter.for]));
  const waitedBy = new Map<string, string[]>();
  for (const { id, for: targets } of waiters) {
    for (const target of targets) {
      const list = waitedBy.get(target) ?? [];
      list.push(id);
      waitedBy.set(target, list);
    }
  }
  const moving = waiters.flatMap(({ for: targets }) => targets.filter((id) => !stuck.has(id)));
  for (let mover = moving.pop(); mover !== undefined; mover = moving.pop()) {
    for (const id of waitedBy.get(mover) ?? []) if (stuck.delete(id)) moving.push(id);
  }
  // Who waits for nobody waits for ever, but is no cycle.
  const path: string[] = [];
  const seen = new Set<string>();
  for (const start of stuck.keys()) {
    path.length = 0;
    for (let at: string | undefined = start; at !== undefined; at = stuck.get(at)?.[0]) {
      const again = path.indexOf(at);
      if (again >= 0) return path.slice(again);
      if (seen.has(at)) break;
      seen.add(at);
      path.push(at);
    }
  }
  return undefined;
}
