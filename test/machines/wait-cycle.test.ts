import fc from "fast-check";
import { expect, test } from "vitest";
import { findWaitCycle, type Waiter } from "../../machines/wait-cycle.ts";

test.each<[string, Waiter[], string[] | undefined]>([
  ["nobody", [], undefined],
  [
    "a chain that ends at who moves",
    [
      { id: "a", for: ["b"] },
      { id: "b", for: ["c"] },
    ],
    undefined,
  ],
  ["who waits for itself", [{ id: "a", for: ["a"] }], ["a"]],
  [
    "a parent and its child",
    [
      { id: "p", for: ["c"] },
      { id: "c", for: ["p"] },
    ],
    ["p", "c"],
  ],
  [
    "a cycle with a way out",
    [
      { id: "p", for: ["c"] },
      { id: "c", for: ["p", "other"] },
    ],
    undefined,
  ],
  [
    "who merely waits for a cycle",
    [
      { id: "x", for: ["p"] },
      { id: "p", for: ["c"] },
      { id: "c", for: ["p"] },
    ],
    ["p", "c"],
  ],
  [
    "who waits for nobody",
    [
      { id: "x", for: [] },
      { id: "y", for: ["x"] },
    ],
    undefined,
  ],
])("%s", (_, waiters, cycle) => {
  expect(findWaitCycle(waiters)).toEqual(cycle);
});

test("finds a cycle exactly when somebody can never move on, and each waits for the next", () => {
  const anyWaiters = fc.uniqueArray(
    fc.record({
      id: fc.constantFrom(..."abcdef"),
      for: fc.array(fc.constantFrom(..."abcdefgh"), { minLength: 1, maxLength: 3 }),
    }),
    { selector: ({ id }) => id },
  );
  fc.assert(
    fc.property(anyWaiters, (waiters) => {
      const moves = new Set([..."abcdefgh"].filter((id) => waiters.every((one) => one.id !== id)));
      for (let round = 0; round < waiters.length; round += 1) {
        for (const one of waiters) if (one.for.some((id) => moves.has(id))) moves.add(one.id);
      }
      const cycle = findWaitCycle(waiters);
      expect(cycle !== undefined).toBe(waiters.some(({ id }) => !moves.has(id)));
      for (const [index, id] of (cycle ?? []).entries()) {
        const next = cycle?.[(index + 1) % cycle.length];
        expect(waiters.find((one) => one.id === id)?.for).toContain(next);
        expect(moves).not.toContain(id);
      }
    }),
    { numRuns: 500 },
  );
});
