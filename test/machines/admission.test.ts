import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Admission, createAdmission, defaultAgeingMs } from "../../machines/admission.ts";
import {
  agentPool,
  capacityPool,
  connectionsPool,
  type Demand,
  globalPool,
  keyPool,
  memoryPool,
  type PoolView,
  ratePool,
  workflowPool,
} from "../../machines/pools.ts";
import type { Candidate } from "../../machines/ready-tree.ts";

const minute = 60_000;

/** A task of agent A whose only demand is the agent's capacity. */
function task(taskKey: string, change: Partial<Candidate> = {}): Candidate {
  const agent = change.agent ?? "A";
  return {
    workflowId: "run",
    taskKey,
    tenant: "",
    agent,
    priority: 3,
    readySinceMs: 0,
    agentDemands: [{ pool: capacityPool(agent), amount: 1 }],
    demands: [],
    ...change,
  };
}

function view(limits: Readonly<Record<string, number>>, elsewhere: Record<string, number> = {}) {
  return {
    limit: (pool: string) => limits[pool] ?? Number.POSITIVE_INFINITY,
    elsewhere: (pool: string) => elsewhere[pool] ?? 0,
  } satisfies PoolView;
}

function waiting(...tasks: readonly Candidate[]): Admission {
  const admission = createAdmission();
  for (const one of tasks) admission.ready(one);
  return admission;
}

function keys(tasks: readonly Candidate[]): string[] {
  return tasks.map(({ taskKey }) => taskKey);
}

/** Admits one task after the other, each ending before the next begins. */
function oneByOne(admission: Admission, limits: PoolView, count: number): Candidate[] {
  return Array.from({ length: count }, () => {
    const admitted = admission.admit(limits);
    expect(admitted).toHaveLength(1);
    for (const one of admitted) admission.gone(one);
    return admitted;
  }).flat();
}

describe("the order within a tenant", () => {
  test("is priority first, then age, then arrival", () => {
    const admission = waiting(
      task("young", { readySinceMs: 9 }),
      task("low", { priority: 1 }),
      task("old", { readySinceMs: 5 }),
      task("high", { priority: 5, readySinceMs: 99 }),
      task("old too", { readySinceMs: 5 }),
    );
    expect(keys(admission.admit(view({})))).toEqual(["high", "old", "old too", "young", "low"]);
  });

  test("is the same over agents, runs and demands", () => {
    const admission = waiting(
      task("third", { agent: "B", readySinceMs: 3 }),
      task("first", { agent: "C", workflowId: "other", readySinceMs: 1 }),
      task("second", { readySinceMs: 2, demands: [{ pool: connectionsPool, amount: 1 }] }),
    );
    expect(keys(admission.admit(view({})))).toEqual(["first", "second", "third"]);
  });

  test("a level of priority is worth a minute of waiting, so nothing starves", () => {
    const admission = waiting(task("background", { priority: 1, readySinceMs: 0 }));
    const one = view({ [capacityPool("A")]: 1 });
    // A critical task arrives every second, more than the agent can do.
    const begun: string[] = [];
    for (let second = 0; second <= 300 && !begun.includes("background"); second += 1) {
      admission.ready(task(`c${second}`, { priority: 5, readySinceMs: second * 1_000 }));
      begun.push(...keys(oneByOne(admission, one, 1)));
    }
    expect(defaultAgeingMs).toBe(minute);
    expect(begun.at(-1)).toBe("background");
    expect(begun).toHaveLength(4 * 60 + 1);
  });

  test("follows a change of priority while the task waits", () => {
    const admission = waiting(task("a"), task("b"), task("c"));
    admission.ready(task("c", { priority: 4 }));
    expect(keys(admission.admit(view({})))).toEqual(["c", "a", "b"]);
  });
});

describe("tenants", () => {
  const one = view({ [capacityPool("A")]: 1 });

  test("one with 1,000 tasks does not keep one with a single task waiting", () => {
    const admission = createAdmission();
    for (let i = 0; i < 1_000; i += 1) {
      admission.ready(task(`big ${i}`, { tenant: "big", priority: 5 }));
    }
    oneByOne(admission, one, 10);
    admission.ready(
      task("small", { tenant: "small", workflowId: "s", priority: 1, readySinceMs: 9_999 }),
    );
    expect(keys(oneByOne(admission, one, 2))).toContain("small");
  });

  test("get dispatches in proportion to their weights", () => {
    const admission = createAdmission({ weight: (tenant) => (tenant === "paying" ? 3 : 1) });
    for (let i = 0; i < 100; i += 1) {
      admission.ready(task(`p${i}`, { tenant: "paying" }));
      admission.ready(task(`f${i}`, { tenant: "free" }));
    }
    const begun = oneByOne(admission, one, 80);
    expect(begun.filter(({ tenant }) => tenant === "paying")).toHaveLength(60);
  });

  test("save up nothing while they have nothing to do", () => {
    const admission = createAdmission();
    for (let i = 0; i < 50; i += 1) admission.ready(task(`a${i}`, { tenant: "a" }));
    oneByOne(admission, one, 20);
    for (let i = 0; i < 50; i += 1) admission.ready(task(`b${i}`, { tenant: "b" }));
    const begun = oneByOne(admission, one, 20);
    expect(begun.filter(({ tenant }) => tenant === "b")).toHaveLength(10);
  });

  test("are not punished at one agent for what they do at another that nobody else wants", () => {
    const admission = createAdmission();
    for (let i = 0; i < 200; i += 1) {
      admission.ready(task(`y at B ${i}`, { tenant: "y", agent: "B" }));
      admission.ready(task(`y at A ${i}`, { tenant: "y" }));
      admission.ready(task(`x at A ${i}`, { tenant: "x" }));
    }
    const limits = view({ [capacityPool("A")]: 1, [capacityPool("B")]: 10 });
    const atA: string[] = [];
    for (let round = 0; round < 20; round += 1) {
      for (const begun of admission.admit(limits)) {
        admission.gone(begun);
        if (begun.agent === "A") atA.push(begun.tenant);
      }
    }
    expect(atA.filter((tenant) => tenant === "y")).toHaveLength(10);
    expect(atA).toHaveLength(20);
  });

  test("share what all agents share", () => {
    const admission = createAdmission();
    const agentDemands = (agent: string): Demand[] => [
      { pool: globalPool, amount: 1 },
      { pool: capacityPool(agent), amount: 1 },
    ];
    for (let i = 0; i < 1_000; i += 1) {
      admission.ready(task(`big ${i}`, { tenant: "big", agentDemands: agentDemands("A") }));
    }
    const small = { tenant: "small", agent: "B", readySinceMs: 5, agentDemands: agentDemands("B") };
    admission.ready(task("small", small));
    expect(keys(oneByOne(admission, view({ [globalPool]: 1 }), 2))).toContain("small");
  });
});

describe("limits", () => {
  test("each kind holds, and says so with its figures", () => {
    const cases: readonly [string, string][] = [
      ["agent", agentPool("A")],
      ["key", keyPool("k")],
      ["global", globalPool],
      ["connections", connectionsPool],
      ["memory", memoryPool],
    ];
    for (const [by, pool] of cases) {
      const demands = [{ pool, amount: 1 }];
      const admission = waiting(task("a", { demands }), task("b", { demands }));
      const limits = view({ [pool]: 3 }, { [pool]: 2 });
      expect(keys(admission.admit(limits))).toEqual(["a"]);
      const hold = { by, pool, used: 1, elsewhere: 2, limit: 3, ahead: 0 };
      expect(admission.hold(task("b"), limits)).toEqual(hold);
      expect(admission.holders(pool)).toEqual([{ workflowId: "run", taskKey: "a" }]);
      admission.gone(task("a"));
      expect(keys(admission.admit(limits))).toEqual(["b"]);
    }
  });

  test("a run's tasks wait for each other at its own limit, those of another run do not", () => {
    const admission = waiting(task("a"), task("b"), task("c", { workflowId: "other" }));
    const limits = view({ [workflowPool("run")]: 1 });
    expect(keys(admission.admit(limits))).toEqual(["a", "c"]);
    expect(admission.hold(task("b"), limits)).toMatchObject({ by: "workflow", used: 1, limit: 1 });
  });

  test("a paused agent takes nothing until it is resumed", () => {
    const admission = waiting(task("one"));
    expect(admission.admit(view({ [capacityPool("A")]: 0 }))).toEqual([]);
    expect(keys(admission.admit(view({ [capacityPool("A")]: 1 })))).toEqual(["one"]);
  });

  test("who asks for more than there is runs when nobody else uses any", () => {
    const greedy = task("greedy", { demands: [{ pool: memoryPool, amount: 20 }] });
    const modest = task("modest", { priority: 5, demands: [{ pool: memoryPool, amount: 1 }] });
    const admission = waiting(greedy, modest);
    const limits = view({ [memoryPool]: 8 });
    expect(keys(admission.admit(limits))).toEqual(["modest"]);
    admission.gone(modest);
    expect(keys(admission.admit(limits))).toEqual(["greedy"]);
  });

  test("a token that was spent does not come back with the task's end", () => {
    const pool = ratePool(agentPool("A"));
    const agentDemands = [{ pool, amount: 1 }];
    const admission = waiting(...["a", "b", "c"].map((key) => task(key, { agentDemands })));
    expect(keys(admission.admit(view({ [pool]: 2.9 })))).toEqual(["a", "b"]);
    for (const key of ["a", "b"]) admission.gone(task(key));
    expect(admission.admit(view({ [pool]: 0.9 }))).toEqual([]);
    expect(admission.hold(task("c"), view({ [pool]: 0.9 }))).toMatchObject({ by: "rate", pool });
    expect(keys(admission.admit(view({ [pool]: 1 })))).toEqual(["c"]);
  });

  test("what an operator wants now comes first, and only the agent's capacity holds it", () => {
    const demands = [{ pool: keyPool("k"), amount: 1 }];
    const limits = view({ [keyPool("k")]: 1, [workflowPool("run")]: 1, [capacityPool("A")]: 3 });
    const admission = waiting(
      ...["a", "b", "c"].map((key) => task(key, { demands })),
      task("other tenant's", { tenant: "x", workflowId: "x", priority: 5 }),
    );
    expect(keys(admission.admit(limits)).toSorted()).toEqual(["a", "other tenant's"]);
    admission.ready(task("c", { demands, urgent: true }));
    admission.ready(task("d", { demands, urgent: true, tenant: "x" }));
    expect(keys(admission.admit(limits))).toEqual(["c"]);
    expect(admission.hold(task("d"), limits)).toMatchObject({ by: "capacity" });
    expect(admission.used(keyPool("k"))).toBe(2);
  });

  test("each pool that holds tasks up is named, with a task that waits for it", () => {
    const demands = [{ pool: keyPool("k"), amount: 1 }];
    const agentDemands = [{ pool: globalPool, amount: 1 }];
    const admission = waiting(
      task("a", { demands }),
      task("b", { demands }),
      task("c", { agent: "B", agentDemands }),
      task("d", { agent: "B", agentDemands }),
    );
    const limits = view({ [keyPool("k")]: 1, [globalPool]: 1 });
    expect(keys(admission.admit(limits))).toEqual(["a", "c"]);
    expect(admission.lacks(limits)).toEqual(
      new Map([
        [keyPool("k"), { workflowId: "run", taskKey: "b" }],
        [globalPool, { workflowId: "run", taskKey: "d" }],
      ]),
    );
  });

  test("a task that nothing holds says how many come before it", () => {
    const admission = waiting(task("a"), task("b"), task("c"));
    expect(admission.hold(task("c"), view({}))).toMatchObject({ by: "turn", ahead: 2 });
    expect(admission.hold(task("none"), view({}))).toBeUndefined();
  });
});

// A model: a list that is sorted anew at each decision.

const pools = [keyPool("k"), keyPool("l"), connectionsPool, memoryPool] as const;
const names = ["A", "B", "C"];
const runs = ["r", "s", "t"];

const anyTask = fc
  .record({
    workflowId: fc.constantFrom(...runs),
    taskKey: fc.constantFrom(..."abcdefgh"),
    tenant: fc.constantFrom("", "x", "y"),
    agent: fc.constantFrom(...names),
    priority: fc.integer({ min: 1, max: 5 }),
    readySinceMs: fc.nat(20 * minute),
    wants: fc.uniqueArray(fc.record({ pool: fc.constantFrom(...pools), amount: fc.nat(3) }), {
      selector: ({ pool }) => pool,
      maxLength: 2,
    }),
  })
  .map(({ wants, ...rest }) => task(rest.taskKey, { ...rest, demands: wants }));

const anyLimits = fc
  .record(
    Object.fromEntries(
      [...pools, ...names.map(capacityPool), ...runs.map(workflowPool)].map((pool) => [
        pool,
        fc.nat(4),
      ]),
    ),
  )
  .map((limits) => view(limits, { [keyPool("k")]: 1 }));

const anyStep = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant("ready" as const), task: anyTask }) },
  fc.record({ type: fc.constant("in flight" as const), task: anyTask }),
  { weight: 2, arbitrary: fc.record({ type: fc.constant("gone" as const), task: anyTask }) },
  fc.record({ type: fc.constant("forget" as const), task: anyTask }),
  { weight: 3, arbitrary: fc.record({ type: fc.constant("admit" as const), limits: anyLimits }) },
);

function demandsOf(one: Candidate): readonly Demand[] {
  return [...one.agentDemands, ...one.demands, { pool: workflowPool(one.workflowId), amount: 1 }];
}

test("keeps every limit, in any order of events, and holds nothing that fits", () => {
  const property = fc.property(fc.array(anyStep, { maxLength: 80 }), (steps) => {
    const admission = createAdmission();
    const model = new Map<string, { one: Candidate; isReady: boolean }>();
    const id = (one: Candidate) => `${one.workflowId}/${one.taskKey}`;
    const used = (pool: string) =>
      [...model.values()]
        .filter(({ isReady }) => !isReady)
        .flatMap(({ one }) => demandsOf(one))
        .reduce((sum, demand) => sum + (demand.pool === pool ? demand.amount : 0), 0);
    for (const step of steps) {
      if (step.type === "ready") admission.ready(step.task);
      if (step.type === "in flight") admission.inFlight(step.task);
      if (step.type === "ready" || step.type === "in flight") {
        model.set(id(step.task), { one: step.task, isReady: step.type === "ready" });
      } else if (step.type === "gone") {
        admission.gone(step.task);
        model.delete(id(step.task));
      } else if (step.type === "forget") {
        admission.forget(step.task.workflowId);
        for (const [key, { one }] of model) {
          if (one.workflowId === step.task.workflowId) model.delete(key);
        }
      } else {
        const fits = ({ pool, amount }: Demand) => {
          const taken = used(pool) + step.limits.elsewhere(pool);
          const limit = step.limits.limit(pool);
          return amount === 0 || (limit > 0 && (taken === 0 || taken + amount <= limit));
        };
        for (const begun of admission.admit(step.limits)) {
          expect(model.get(id(begun))).toEqual({ one: begun, isReady: true });
          expect(demandsOf(begun).filter((demand) => !fits(demand))).toEqual([]);
          // Nothing of the same tenant that fits as well ranks before it.
          const rank = (one: Candidate) => one.readySinceMs - one.priority * defaultAgeingMs;
          for (const { one, isReady } of model.values()) {
            const isRival = isReady && one.tenant === begun.tenant && one.agent === begun.agent;
            if (isRival && demandsOf(one).every(fits)) {
              expect(rank(one)).toBeGreaterThanOrEqual(rank(begun));
            }
          }
          model.set(id(begun), { one: begun, isReady: false });
        }
        for (const { one, isReady } of model.values()) {
          if (isReady) expect(demandsOf(one).every(fits)).toBe(false);
        }
      }
      const ready = [...model.values()].filter(({ isReady }) => isReady);
      expect(admission.waiting).toBe(ready.length);
      for (const pool of [...pools, ...names.map(capacityPool), ...runs.map(workflowPool)]) {
        expect(admission.used(pool)).toBe(used(pool));
      }
    }
  });
  fc.assert(property, { numRuns: 500 });
});

test("a decision among 10,000 waiting tasks looks at few of them", () => {
  let looks = 0;
  const counting = (limits: Record<string, number>): PoolView => ({
    limit: (pool) => {
      looks += 1;
      return limits[pool] ?? Number.POSITIVE_INFINITY;
    },
    elsewhere: () => 0,
  });
  const admission = createAdmission();
  for (let i = 0; i < 10_000; i += 1) {
    const demands = [{ pool: keyPool(`customer ${i % 100}`), amount: 1 }];
    admission.ready(task(`t${i}`, { workflowId: `run ${i % 1_000}`, demands }));
  }
  const limits = { [capacityPool("A")]: 4 };
  const begun = admission.admit(counting(limits));
  expect(begun).toHaveLength(4);
  expect(looks).toBeLessThan(50);
  looks = 0;
  for (const one of begun) admission.gone(one);
  expect(admission.admit(counting(limits))).toHaveLength(4);
  expect(looks).toBeLessThan(50);
});
