/**
 * Supervisors that end by themselves with a significant child, and children that are none.
 * Each test has the name of the case in `supervisor_SUITE` that it answers to; see `docs/supervision.md`.
 *
 * @module
 */

import { describe, expect, test } from "vitest";
import type { Supervisor } from "../../../actors/tree/supervisor.ts";
import type { AutoShutdown, Restart } from "../../../machines/restart-policy.ts";
import {
  abnormal,
  killed,
  normal,
  nursery,
  settle,
  shutdown,
  statuses,
} from "../../support/nursery.ts";

const patient = { intensity: { maxRestarts: 5, periodMs: 3_600_000 } };
const rules = ["never", "any_significant", "all_significant"] as const;
const isRunning = (supervisor: Supervisor): boolean => supervisor.view().status === "running";

describe("children that are not significant", () => {
  test.each(rules)("nonsignificant_temporary: with %s no end of theirs counts", async (rule) => {
    const n = nursery();
    const supervisor = await n.supervise([], { ...patient, autoShutdown: rule });
    const child = n.spec("child", { restart: "temporary" });
    await supervisor.startChild(child);
    await supervisor.stopChild("child");
    for (const exit of [killed, abnormal("died"), normal]) {
      await supervisor.startChild(child);
      await n.exit("child", exit);
      expect(statuses(supervisor)).toEqual([]);
      expect(isRunning(supervisor)).toBe(true);
    }
    await supervisor.stop();
  });

  test.each(rules)("nonsignificant_transient: with %s no end of theirs counts", async (rule) => {
    const n = nursery();
    const child = n.spec("child", { restart: "transient" });
    const supervisor = await n.supervise([child], { ...patient, autoShutdown: rule });
    await supervisor.stopChild("child");
    supervisor.restartChild("child");
    await settle();
    for (const exit of [killed, abnormal("died")]) {
      await n.exit("child", exit);
      await n.pass(1_000);
      expect(statuses(supervisor)).toEqual(["child running"]);
    }
    await n.exit("child", normal);
    expect(statuses(supervisor)).toEqual(["child ended"]);
    expect(isRunning(supervisor)).toBe(true);
    await supervisor.stop();
  });
});

/** Two significant children and one that is not. */
async function family(restart: Restart, autoShutdown: AutoShutdown) {
  const n = nursery();
  const significant = (id: string) => n.spec(id, { restart, significant: true });
  const children = [significant("child1"), significant("child2"), n.spec("child3", { restart })];
  const supervisor = await n.supervise(children, { ...patient, autoShutdown });
  n.diary();
  return { ...n, supervisor, significant };
}

describe("significant children", () => {
  test("significant_temporary: a stop by hand does not count, any other end does", async () => {
    const n = await family("temporary", "any_significant");
    await n.supervisor.stopChild("child1");
    expect(statuses(n.supervisor)).toEqual(["child2 running", "child3 running"]);
    await n.supervisor.startChild(n.significant("child1"));
    n.diary();
    await n.exit("child1", killed);
    expect(await n.supervisor.exited).toEqual(shutdown);
    expect(n.diary()).toEqual(["stop child3", "stop child2"]);
    for (const exit of [abnormal("died"), normal]) {
      const { supervisor, ...rest } = await family("temporary", "any_significant");
      await rest.exit("child1", exit);
      expect(await supervisor.exited).toEqual(shutdown);
    }
  });

  test("significant_transient: what restarts does not count, a normal end does", async () => {
    const n = await family("transient", "any_significant");
    await n.supervisor.stopChild("child1");
    expect(isRunning(n.supervisor)).toBe(true);
    n.supervisor.restartChild("child1");
    await settle();
    for (const exit of [killed, abnormal("died")]) {
      await n.exit("child1", exit);
      await n.pass(1_000);
      expect(n.supervisor.countChildren().active).toBe(3);
    }
    n.diary();
    await n.exit("child1", normal);
    expect(await n.supervisor.exited).toEqual(shutdown);
    expect(n.diary()).toEqual(["stop child3", "stop child2"]);
  });

  test.each(["temporary", "transient"] as const)(
    "all_significant: the last of two significant %s children ends it",
    async (restart) => {
      const n = await family(restart, "all_significant");
      await n.exit("child1", normal);
      expect(isRunning(n.supervisor)).toBe(true);
      expect(n.supervisor.countChildren().active).toBe(2);
      await n.exit("child2", normal);
      expect(await n.supervisor.exited).toEqual(shutdown);
      expect(n.diary()).toEqual(["stop child3"]);
    },
  );

  const strategies = ["one_for_one", "one_for_all", "rest_for_one"] as const;
  const bystanders = strategies.flatMap((strategy) =>
    (["any_significant", "all_significant"] as const).map((rule) => [strategy, rule] as const),
  );
  test.each(bystanders)(
    "significant_bystander: %s with %s, a sibling's crash is no end of the significant ones",
    async (strategy, autoShutdown) => {
      const n = nursery();
      const spec = (id: string, significant: boolean) =>
        n.spec(id, { restart: "transient", significant });
      const supervisor = await n.supervise([spec("a", true), spec("b", false), spec("c", true)], {
        ...patient,
        strategy,
        autoShutdown,
      });
      await n.exit("b", killed);
      await n.pass(1_000);
      expect(statuses(supervisor)).toEqual(["a running", "b running", "c running"]);
      const restarted = { one_for_one: "b", one_for_all: "abc", rest_for_one: "bc" }[strategy];
      for (const id of "abc") expect(n.starts(id)).toBe(restarted.includes(id) ? 2 : 1);
      await supervisor.stop();
    },
  );

  test("significant_escalation: the end of a supervisor that is not significant goes no further", async () => {
    const n = nursery();
    const rule = { autoShutdown: "any_significant" } as const;
    const worker = n.spec("c", { restart: "transient", significant: true });
    const outer = await n.supervise(
      [
        {
          id: "b",
          type: "supervisor",
          restart: "transient",
          start: () => n.supervise([worker], { ...rule, id: "b" }),
        },
      ],
      rule,
    );
    await n.exit("c", normal);
    expect(statuses(outer)).toEqual(["b ended"]);
    expect(isRunning(outer)).toBe(true);
    await outer.stop();
  });
});

describe("changes while it runs", () => {
  test.each(["any_significant", "all_significant"] as const)(
    "with %s turned off, significant children end without it, and no more are taken",
    async (from) => {
      const n = nursery();
      const spec = (id: string) => n.spec(id, { restart: "transient", significant: true });
      const supervisor = await n.supervise([spec("child1")], { autoShutdown: from });
      supervisor.changeSpecs({ autoShutdown: "never" });
      expect(statuses(supervisor)).toEqual(["child1 running"]);
      await expect(supervisor.startChild(spec("child2"))).rejects.toThrow(
        /child "child2": is significant, but autoShutdown is never/,
      );
      await n.exit("child1", normal);
      expect(isRunning(supervisor)).toBe(true);
      supervisor.restartChild("child1");
      await settle();
      expect(statuses(supervisor)).toEqual(["child1 running"]);
      await supervisor.stop();
    },
  );

  test("significant_upgrade_child: a child becomes significant, or ceases to be", async () => {
    const n = nursery();
    const spec = (significant: boolean) => n.spec("child", { restart: "transient", significant });
    const never = await n.supervise([spec(false)]);
    expect(() => never.changeSpecs({ children: [spec(true)] })).toThrow(/autoShutdown is never/);
    expect(never.childSpec("child")?.significant).toBe(false);
    await never.stop();

    const any = { autoShutdown: "any_significant" } as const;
    const becoming = await n.supervise([spec(false)], any);
    becoming.changeSpecs({ children: [spec(true)] });
    expect(statuses(becoming)).toEqual(["child running"]);
    await n.exit("child", normal);
    expect(await becoming.exited).toEqual(shutdown);

    const ceasing = await n.supervise([spec(true)], any);
    ceasing.changeSpecs({ children: [spec(false)] });
    await n.exit("child", normal);
    expect(statuses(ceasing)).toEqual(["child ended"]);
    expect(isRunning(ceasing)).toBe(true);
    await ceasing.stop();
  });
});
