import fc from "fast-check";
import { expect, test } from "vitest";
import { createConflationQueue } from "../../../http/live/conflation.ts";
import { type EventKind, eventOf } from "./live-events.ts";

function drain(queue: ReturnType<typeof createConflationQueue>) {
  const items = [];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) items.push(next);
  return items;
}

test("createConflationQueue() keeps the newest event of a key and counts those it stands for", () => {
  const queue = createConflationQueue();
  for (const seq of [1, 2, 3]) queue.push(eventOf(seq, { kind: "agent", name: "A" }));
  queue.push(eventOf(4, { kind: "agent", name: "B" }));
  expect(drain(queue).map(({ event, conflated }) => [event.seq, conflated])).toEqual([
    [3, 2],
    [4, 0],
  ]);
});

test("createConflationQueue() never merges journal entries", () => {
  const queue = createConflationQueue();
  for (const seq of [1, 2, 3]) queue.push(eventOf(seq, { kind: "journal", name: "wf" }));
  expect(drain(queue).map(({ event }) => event.seq)).toEqual([1, 2, 3]);
});

test("createConflationQueue() drops all and says so when it is full", () => {
  const queue = createConflationQueue(2);
  for (const seq of [1, 2, 3]) queue.push(eventOf(seq, { kind: "journal", name: "wf" }));
  expect(queue).toMatchObject({ overflowed: true, size: 0 });
  queue.push(eventOf(4, { kind: "journal", name: "wf" }));
  expect(queue.size).toBe(0);
  queue.clear();
  expect(queue.overflowed).toBe(false);
});

test("createConflationQueue() holds at most its limit, keeps order, and loses nothing in silence", () => {
  const kind: fc.Arbitrary<EventKind> = fc.record({
    kind: fc.constantFrom("agent", "task", "journal", "workflow"),
    name: fc.constantFrom("A", "B", "C"),
  });
  fc.assert(
    fc.property(
      fc.array(kind, { maxLength: 60 }),
      fc.integer({ min: 1, max: 12 }),
      (kinds, limit) => {
        const queue = createConflationQueue(limit);
        kinds.forEach((each, index) => {
          queue.push(eventOf(index + 1, each));
          expect(queue.size).toBeLessThanOrEqual(limit);
        });
        const items = drain(queue);
        const seqs = items.map(({ event }) => event.seq);
        expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
        const stoodFor = items.reduce((sum, { conflated }) => sum + 1 + conflated, 0);
        expect(queue.overflowed || stoodFor === kinds.length).toBe(true);
      },
    ),
  );
});
