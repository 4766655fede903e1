/**
 * The database connections that all agents of a node share: whoever runs an action holds its share.
 *
 * @module
 */

/** A node holds 15 connections: 3 for its tables, 1 for coordination, 3 for the queue, these for agents. */
export const agentConnections = 8;
/** What tasks may hold of them; the rest is for requests over the bus, which tasks wait for. */
export const taskConnections = 6;

export interface ConnectionBudget {
  /** Runs `work` once `need` connections are free, first come first served. Never more than all at once. */
  hold<T>(need: number, work: () => Promise<T>): Promise<T>;
}

export function createConnectionBudget(total: number): ConnectionBudget {
  const waiting: { readonly need: number; readonly start: () => void }[] = [];
  let free = total;

  function admit(): void {
    for (let next = waiting[0]; next !== undefined && next.need <= free; next = waiting[0]) {
      waiting.shift();
      free -= next.need;
      next.start();
    }
  }

  return {
    hold: async (asked, work) => {
      const need = Math.min(asked, total);
      await new Promise<void>((start) => {
        waiting.push({ need, start });
        admit();
      });
      try {
        return await work();
      } finally {
        free += need;
        admit();
      }
    },
  };
}
