/**
 * Fits the agents' resource figures into the machine that they run on.
 * The figures of all agents together describe the machine that was hoped for; a smaller one
 * gives every agent the same share of what it asked, so that all of them can always run.
 *
 * @module
 */

/** `cpu` in cores, `memoryMb` in MiB. */
export interface Resources {
  readonly cpu: number;
  readonly memoryMb: number;
}

/** What all the agents ask for together. */
export function totalResources(figures: readonly Resources[]): Resources {
  return figures.reduce(
    (sum, one) => ({ cpu: sum.cpu + one.cpu, memoryMb: sum.memoryMb + one.memoryMb }),
    { cpu: 0, memoryMb: 0 },
  );
}

/** `need` in proportion to what `budget` has of `nominal`, each kind for itself; never more than asked. */
export function scaleToBudget(need: Resources, nominal: Resources, budget: Resources): Resources {
  return {
    cpu: need.cpu * share(budget.cpu, nominal.cpu),
    memoryMb: need.memoryMb * share(budget.memoryMb, nominal.memoryMb),
  };
}

function share(budget: number, nominal: number): number {
  return nominal <= budget ? 1 : budget / nominal;
}
