import { expect, test } from "vitest";
import { createConnectionBudget } from "../../runtime/connection-budget.ts";

test("createConnectionBudget() never gives out more than there are, in order, also after failures", async () => {
  const budget = createConnectionBudget(4);
  let held = 0;
  let most = 0;
  const order: number[] = [];
  const work = (need: number, index: number) =>
    budget.hold(need, async () => {
      order.push(index);
      held += Math.min(need, 4);
      most = Math.max(most, held);
      await new Promise((resolve) => setImmediate(resolve));
      held -= Math.min(need, 4);
      if (index % 3 === 0) throw new Error("no matter");
    });
  const needs = [1, 3, 2, 4, 1, 9, 1, 1, 2];
  await Promise.allSettled(needs.map(work));
  expect(most).toBe(4);
  expect(order).toEqual(needs.map((_, index) => index));
  expect(held).toBe(0);
});
