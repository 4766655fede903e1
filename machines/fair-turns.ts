/**
 * Whose turn it is, by start-time fair queueing: each tenant has a virtual time that grows with what
 * it got, divided by its weight; who has the smallest is next.
 *
 * Source: Goyal, Vin, Cheng, "Start-time Fair Queueing" (1996).
 *
 * @module
 */

export interface Turns {
  /** The tenant's virtual time; never before that of whom was served last, so idleness saves up nothing. */
  of(tenant: string): number;
  /** Counts a dispatch; returns the tenant's virtual time after it. */
  serve(tenant: string, cost: number): number;
}

/** Accounts beyond this are swept: only those ahead of the clock say anything. */
const accountLimit = 1_000;

export function createTurns(): Turns {
  const accounts = new Map<string, number>();
  let clock = 0;
  const of = (tenant: string): number => Math.max(accounts.get(tenant) ?? 0, clock);
  return {
    of,
    serve: (tenant, cost) => {
      const start = of(tenant);
      clock = start;
      accounts.set(tenant, start + cost);
      if (accounts.size > accountLimit) {
        for (const [name, virtual] of accounts) if (virtual <= clock) accounts.delete(name);
        // All tenants ahead by one dispatch: forgetting who they are costs one turn each.
        if (accounts.size > accountLimit) accounts.clear();
      }
      return start + cost;
    },
  };
}
