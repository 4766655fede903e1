import fc from "fast-check";
import { expect, test } from "vitest";
import { scaleToBudget, totalResources } from "../../machines/resource-budget.ts";

const nominal = { cpu: 10, memoryMb: 20_000 };

test("scaleToBudget() leaves needs as they are, on a machine that holds all agents", () => {
  const need = { cpu: 0.5, memoryMb: 512 };
  expect(scaleToBudget(need, nominal, { cpu: 10, memoryMb: 20_000 })).toEqual(need);
  expect(scaleToBudget(need, nominal, { cpu: 64, memoryMb: 500_000 })).toEqual(need);
});

test("scaleToBudget() gives the machine's share of each kind, on a smaller machine", () => {
  const share = scaleToBudget({ cpu: 1, memoryMb: 2_000 }, nominal, { cpu: 2, memoryMb: 20_000 });
  expect(share).toEqual({ cpu: 0.2, memoryMb: 2_000 });
});

test("scaleToBudget() lets all agents run at once, whatever the machine", () => {
  const figure = fc.record({
    cpu: fc.double({ min: 0.1, max: 4, noNaN: true }),
    memoryMb: fc.integer({ min: 64, max: 4_096 }),
  });
  fc.assert(
    fc.property(fc.array(figure, { minLength: 1, maxLength: 20 }), figure, (agents, budget) => {
      const all = totalResources(agents);
      const scaled = totalResources(agents.map((one) => scaleToBudget(one, all, budget)));
      expect(scaled.cpu).toBeLessThanOrEqual(budget.cpu + 1e-9);
      expect(scaled.memoryMb).toBeLessThanOrEqual(budget.memoryMb + 1e-6);
    }),
  );
});

test("totalResources() of no agents is nothing", () => {
  expect(totalResources([])).toEqual({ cpu: 0, memoryMb: 0 });
});
