import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Admission, admit, type Candidate, type Usage } from "../../machines/admission.ts";

const idle: Usage = { byAgent: new Map(), byWorkflow: new Map(), connections: 0 };
const wide = { agent: () => 100, workflow: () => 100, connections: 100 };

function candidate(taskKey: string, change: Partial<Candidate> = {}): Candidate {
  const base = { workflowId: "run", agent: "A", priority: 3, readySinceMs: 0, connections: 0 };
  return { ...base, taskKey, ...change };
}

function keys({ admitted }: Admission): string[] {
  return admitted.map(({ taskKey }) => taskKey);
}

function holds({ held }: Admission): string[] {
  return held.map(({ candidate: { taskKey }, by }) => `${taskKey} by ${by}`);
}

describe("admit()", () => {
  test("takes the higher priority first, then the older, then the given order", () => {
    const decision = admit(
      [
        candidate("young", { readySinceMs: 9 }),
        candidate("low", { priority: 1, readySinceMs: 0 }),
        candidate("old", { readySinceMs: 5 }),
        candidate("high", { priority: 5, readySinceMs: 99 }),
        candidate("old too", { readySinceMs: 5 }),
      ],
      idle,
      wide,
    );
    expect(keys(decision)).toEqual(["high", "old", "old too", "young", "low"]);
  });

  test("counts what is in use already, and says what holds the rest", () => {
    const usage = {
      byAgent: new Map([["A", 1]]),
      byWorkflow: new Map([["full", 3]]),
      connections: 6,
    };
    const decision = admit(
      [
        candidate("first"),
        candidate("second"),
        candidate("of full run", { agent: "B", workflowId: "full" }),
        candidate("hungry", { agent: "B", connections: 3 }),
        candidate("modest", { agent: "B", connections: 2 }),
      ],
      usage,
      { agent: () => 2, workflow: () => 3, connections: 8 },
    );
    expect(keys(decision)).toEqual(["first", "modest"]);
    expect(holds(decision)).toEqual([
      "second by agent",
      "of full run by workflow",
      "hungry by connections",
    ]);
  });

  test("a paused agent takes nothing", () => {
    const decision = admit([candidate("one")], idle, { ...wide, agent: () => 0 });
    expect(holds(decision)).toEqual(["one by agent"]);
  });

  test("a task that needs more connections than there are runs when nothing else uses any", () => {
    const greedy = candidate("greedy", { connections: 20 });
    expect(keys(admit([greedy], idle, { ...wide, connections: 8 }))).toEqual(["greedy"]);
    const busy = { ...idle, connections: 1 };
    expect(keys(admit([greedy], busy, { ...wide, connections: 8 }))).toEqual([]);
  });

  test("keeps every limit, loses no candidate, and holds none while its limits leave room", () => {
    const names = ["A", "B", "C"];
    const runs = ["r", "s"];
    const counts = (of: readonly string[]) =>
      fc
        .tuple(...of.map(() => fc.nat(4)))
        .map((n) => new Map(of.map((key, i) => [key, n[i] ?? 0])));
    const anyCandidate = fc.record({
      workflowId: fc.constantFrom(...runs),
      taskKey: fc.uuid(),
      agent: fc.constantFrom(...names),
      priority: fc.integer({ min: 1, max: 5 }),
      readySinceMs: fc.nat(20),
      connections: fc.nat(5),
    });
    const property = fc.property(
      fc.array(anyCandidate, { maxLength: 30 }),
      fc.record({ byAgent: counts(names), byWorkflow: counts(runs), connections: fc.nat(10) }),
      counts(names),
      counts(runs),
      fc.nat(10),
      (candidates, usage, agentLimits, workflowLimits, connections) => {
        const limits = {
          agent: (name: string) => agentLimits.get(name) ?? 0,
          workflow: (id: string) => workflowLimits.get(id) ?? 0,
          connections,
        };
        const { admitted, held } = admit(candidates, usage, limits);
        const outcome = [...admitted, ...held.map((entry) => entry.candidate)];
        expect(new Set(outcome)).toEqual(new Set(candidates));
        expect(outcome).toHaveLength(candidates.length);

        const used = (key: "agent" | "workflowId", name: string) =>
          admitted.filter((one) => one[key] === name).length;
        for (const name of names) {
          const before = usage.byAgent.get(name) ?? 0;
          const after = before + used("agent", name);
          expect(after).toBeLessThanOrEqual(Math.max(before, limits.agent(name)));
        }
        for (const id of runs) {
          const before = usage.byWorkflow.get(id) ?? 0;
          const after = before + used("workflowId", id);
          expect(after).toBeLessThanOrEqual(Math.max(before, limits.workflow(id)));
        }
        const more = admitted.reduce((sum, one) => sum + one.connections, 0);
        const alone = usage.connections === 0 && admitted.some((one) => one.connections === more);
        if (more > 0 && !alone) {
          expect(usage.connections + more).toBeLessThanOrEqual(connections);
        }
        for (const { candidate: one, by } of held) {
          const room = {
            agent: (usage.byAgent.get(one.agent) ?? 0) + used("agent", one.agent),
            workflow:
              (usage.byWorkflow.get(one.workflowId) ?? 0) + used("workflowId", one.workflowId),
            connections: usage.connections + more + one.connections,
          };
          const limit = {
            agent: limits.agent(one.agent),
            workflow: limits.workflow(one.workflowId),
            connections: connections + 1,
          };
          expect(room[by]).toBeGreaterThanOrEqual(limit[by]);
        }
        for (const [index, one] of admitted.entries()) {
          const next = admitted[index + 1];
          if (next === undefined) continue;
          expect(one.priority).toBeGreaterThanOrEqual(next.priority);
          if (one.priority === next.priority)
            expect(one.readySinceMs).toBeLessThanOrEqual(next.readySinceMs);
        }
        // A held task never waits behind a younger or less urgent one with the same needs.
        for (const { candidate: one } of held) {
          for (const other of admitted) {
            const alike =
              one.agent === other.agent &&
              one.workflowId === other.workflowId &&
              one.connections === other.connections;
            if (!alike) continue;
            const overtaken =
              other.priority < one.priority ||
              (other.priority === one.priority && other.readySinceMs > one.readySinceMs);
            expect(overtaken).toBe(false);
          }
        }
      },
    );
    fc.assert(property, { numRuns: 300 });
  });
});
