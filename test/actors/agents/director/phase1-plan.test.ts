/** The DIRECTOR's plan follows the stages of Phase 1 as they are run. */

import { expect, test } from "vitest";
import { planPhase1 } from "../../../../actors/agents/director/phase1-plan.ts";
import type { ArchiveProfile } from "../../../../actors/archive/profile.ts";
import { phase1 } from "../../../../actors/workflows/phase1/phase1.ts";

const profile = {
  read: 1_000,
  messages: 1_000,
  bodyBytes: 5_000_000,
  meanBodyBytes: 5_000,
  scanMs: 100,
  months: [{ month: "2024-01", messages: 1_000, bytes: 5_000_000 }],
  largest: [{ bytes: 100_000 }],
} as unknown as ArchiveProfile;

const tasks = Object.fromEntries(
  Object.values(phase1.stages).flatMap((stage) => Object.entries(stage.tasks)),
);

test("planPhase1() has an estimate for every task, and fails for one that has none", () => {
  const week1 = phase1.stages["week1"]!.tasks as Record<string, (typeof tasks)[string]>;
  expect(Object.keys(tasks)).toHaveLength(18);
  expect(() => planPhase1(profile, 2)).not.toThrow();
  week1["something_new"] = { do: "DIRECTOR.something", title: "new" };
  try {
    expect(() => planPhase1(profile, 2)).toThrow('the task "something_new" has no estimate');
  } finally {
    delete week1["something_new"];
  }
});

test("planPhase1() names a chain in which each task follows one that it waits for", () => {
  const { criticalPath, estimatedMs } = planPhase1(profile, 2);
  const path = criticalPath.map(({ task }) => task);
  const weekOf = (key: string) =>
    Object.values(phase1.stages).findIndex((stage) => Object.hasOwn(stage.tasks, key));
  expect(path[0]).toBe("phase1_strategic_planning");
  expect(path.at(-1)).toBe("phase1_completion_review");
  for (const [index, key] of path.entries()) {
    const before = path[index - 1];
    if (before === undefined) continue;
    const after = tasks[key]?.after ?? [];
    if (after.length === 0) expect(weekOf(before)).toBe(weekOf(key) - 1);
    else expect(after).toContain(before);
  }
  expect(estimatedMs).toBe(criticalPath.reduce((sum, step) => sum + step.estimatedMs, 0));
});
