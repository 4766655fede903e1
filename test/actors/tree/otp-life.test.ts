/**
 * Trees, loops of restarts, changes of rules at run time, and supervisors that end by themselves.
 * Each test has the name of the case in `supervisor_SUITE` that it answers to; see `docs/supervision.md`.
 *
 * @module
 */

import { describe, expect, test } from "vitest";
import { startDynamicSupervisor } from "../../../actors/tree/dynamic-supervisor.ts";
import { createRestartBudget } from "../../../actors/tree/restart-budget.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import { createDeferred } from "../../../machines/deferred.ts";
import type { AutoShutdown, Restart } from "../../../machines/restart-policy.ts";
import {
  abnormal,
  normal,
  nursery,
  quietLog,
  settle,
  shutdown,
  statuses,
} from "../../support/nursery.ts";

describe("trees", () => {
  test("child_unlink: a child that ended without a word does not hold up its stop", async () => {
    const { supervise } = nursery();
    const exited = createDeferred<ChildExit>();
    const supervisor = await supervise([
      {
        id: "child",
        start: async () => ({ exited: exited.promise, stop: async () => exited.resolve(normal) }),
      },
    ]);
    exited.resolve(abnormal("gone"));
    await supervisor.stopChild("child");
    expect(statuses(supervisor)).toEqual(["child ended"]);
    await supervisor.stop();
  });

  test("tree: a crash restarts its own branch only, escalation takes the next one up", async () => {
    const n = nursery();
    const branch = (id: string, ...names: string[]) => ({
      id,
      type: "supervisor" as const,
      start: () =>
        n.supervise(
          names.map((name) => n.spec(name)),
          { id, strategy: "one_for_all" },
        ),
    });
    const root = await n.supervise([branch("left", "a", "b"), branch("right", "c", "d")]);
    n.diary();
    await n.exit("a");
    await n.pass(100);
    expect(n.diary()).toEqual(["stop b", "start a", "start b"]);
    await n.exit("b");
    expect(n.diary()).toEqual(["stop a"]);
    await n.pass(100);
    expect(n.diary()).toEqual(["start a", "start b"]);
    expect(root.view().children).toMatchObject([
      { address: "/root/left", status: "running", restarts: 1 },
      { address: "/root/right", status: "running", restarts: 0 },
    ]);
    expect(root.view().children[0]?.children.map(({ address }) => address)).toEqual([
      "/root/left/a",
      "/root/left/b",
    ]);
    n.diary();
    await root.stop();
    expect(n.diary()).toEqual(["stop d", "stop c", "stop b", "stop a"]);
  });

  test.each(["one_for_one", "one_for_all", "rest_for_one"] as const)(
    "hanging_restart_loop: %s answers and stops while a child fails to restart again and again",
    async (strategy) => {
      const n = nursery();
      let failing = Number.POSITIVE_INFINITY;
      const supervisor = await n.supervise(
        [n.spec("first"), n.spec("child", { failsFrom: () => failing })],
        { strategy, intensity: { maxRestarts: 1_000, periodMs: 1_000_000 } },
      );
      failing = 2;
      await n.exit("child");
      for (let turn = 0; turn < 20; turn += 1) await n.pass(1_000);
      expect(supervisor.whichChildren()[1]).toMatchObject({ id: "child", restarts: 21 });
      expect(supervisor.countChildren()).toMatchObject({ specs: 2 });
      expect(() => supervisor.deleteChild("child")).toThrow(/it is backoff; stop it first/);
      await expect(supervisor.startChild(n.spec("child"))).rejects.toMatchObject({
        code: "CHILD_EXISTS",
      });
      await supervisor.stopChild("child");
      supervisor.deleteChild("child");
      await n.pass(10_000);
      expect(n.starts("child")).toBe(21);
      await supervisor.stop();
      expect(await supervisor.exited).toEqual(normal);
    },
  );

  test("hanging_restart_loop_simple: a dynamic supervisor does, too", async () => {
    const n = nursery();
    let failing = Number.POSITIVE_INFINITY;
    const supervisor = await startDynamicSupervisor<string>({
      id: "dynamic",
      intensity: { maxRestarts: 1_000, periodMs: 1_000_000 },
      clock: { now: () => new Date(0), monotonicMs: () => n.timers.now() },
      log: quietLog,
      timers: n.timers,
      template: { start: (name, place) => n.spec(name, { failsFrom: () => failing }).start(place) },
    });
    await supervisor.startChild("a");
    failing = 2;
    await n.exit("a");
    for (let turn = 0; turn < 20; turn += 1) await n.pass(5_000);
    await expect(supervisor.startChild("b")).resolves.toMatchObject({ id: "2" });
    await supervisor.stopChild("1");
    expect(statuses(supervisor)).toEqual(["2 running"]);
    await supervisor.stop();
  });

  test("stopping during a restart starts nothing any more", async () => {
    const n = nursery();
    const supervisor = await n.supervise([n.spec("a"), n.spec("b")], { strategy: "one_for_all" });
    await n.exit("a");
    n.diary();
    await supervisor.stop();
    await n.pass(10_000);
    expect(n.diary()).toEqual([]);
    expect(await supervisor.exited).toEqual(normal);
  });
});

describe("code_change", () => {
  test("code_change: rules and specs change in place, running children go on", async () => {
    const n = nursery();
    const supervisor = await n.supervise([n.spec("a"), n.spec("b")]);
    n.diary();
    supervisor.changeSpecs({
      strategy: "one_for_all",
      intensity: { maxRestarts: 7, periodMs: 500 },
      children: [n.spec("a", { restart: "transient", shutdownMs: 17 }), n.spec("c")],
    });
    expect(n.diary()).toEqual([]);
    // Who is not named stays; who is new waits for an operator.
    expect(statuses(supervisor)).toEqual(["b running", "a running", "c ended"]);
    expect(supervisor.childSpec("a")).toMatchObject({ restart: "transient", shutdown: 17 });
    expect(supervisor.view()).toMatchObject({ strategy: "one_for_all" });
    supervisor.restartChild("c");
    await settle();
    await n.exit("a", normal);
    expect(statuses(supervisor)).toEqual(["b running", "a ended", "c running"]);
    await supervisor.stop();
  });

  test("code_change: a running child restarts by its new start", async () => {
    const n = nursery();
    const supervisor = await n.supervise([n.spec("a")]);
    supervisor.changeSpecs({ children: [{ ...n.spec("new"), id: "a" }] });
    await n.exit("a");
    await n.pass(100);
    expect(n.diary()).toEqual(["start a", "start new"]);
    await supervisor.stop();
  });

  test("code_change_map: faulty changes are refused whole", async () => {
    const n = nursery();
    const supervisor = await n.supervise([n.spec("a")]);
    const faulty = {
      strategy: "one_for_all",
      children: [n.spec("a", { shutdownMs: -5 })],
    } as const;
    expect(() => supervisor.changeSpecs(faulty)).toThrow(/shutdownMs is -5/);
    expect(() => supervisor.changeSpecs({ intensity: { maxRestarts: 1, periodMs: -1 } })).toThrow(
      /intensity.periodMs is -1/,
    );
    expect(supervisor.view().strategy).toBe("one_for_one");
    expect(supervisor.childSpec("a")?.shutdown).toBe(5_000);
    await supervisor.stop();
  });

  test("code_change_simple, code_change_simple_map: a new template is for children to come", async () => {
    const n = nursery();
    const supervisor = await startDynamicSupervisor<string>({
      id: "dynamic",
      clock: { now: () => new Date(0), monotonicMs: () => n.timers.now() },
      log: quietLog,
      timers: n.timers,
      template: { start: (name, place) => n.spec(name).start(place) },
    });
    await supervisor.startChild("a");
    supervisor.changeTemplate({
      restart: "temporary",
      shutdownMs: 3,
      start: (name, place) => n.spec(`new-${name}`).start(place),
    });
    await supervisor.startChild("b");
    expect(n.diary()).toEqual(["start a", "start new-b"]);
    expect(supervisor.childSpec("1")).toMatchObject({ restart: "permanent", shutdown: 5_000 });
    expect(supervisor.childSpec("2")).toMatchObject({ restart: "temporary", shutdown: 3 });
    await supervisor.stop();
  });

  test.each<[string, AutoShutdown, AutoShutdown]>([
    ["significant_upgrade_never_any", "never", "any_significant"],
    ["significant_upgrade_never_all", "never", "all_significant"],
    ["significant_upgrade_any_never", "any_significant", "never"],
    ["significant_upgrade_all_never", "all_significant", "never"],
    ["significant_upgrade_any_all", "any_significant", "all_significant"],
    ["significant_upgrade_all_any", "all_significant", "any_significant"],
  ])("%s", async (_name, from, to) => {
    const n = nursery();
    const spec = (id: string, rule: AutoShutdown) =>
      n.spec(id, { restart: "transient", significant: rule !== "never" });
    const supervisor = await n.supervise([spec("a", from), spec("b", from)], {
      autoShutdown: from,
    });
    supervisor.changeSpecs({ autoShutdown: to, children: [spec("a", to), spec("b", to)] });
    await n.exit("a", normal);
    const endsAtFirst = to === "any_significant";
    expect(supervisor.view().status).toBe(endsAtFirst ? "stopped" : "running");
    await n.exit("b", normal);
    expect(supervisor.view().status).toBe(to === "never" ? "running" : "stopped");
    await supervisor.stop();
  });
});

describe("auto_shutdown", () => {
  test.each<[Restart, AutoShutdown, RegExp]>([
    ["permanent", "any_significant", /is significant and permanent/],
    ["transient", "never", /is significant, but autoShutdown is never/],
    ["temporary", "never", /is significant, but autoShutdown is never/],
  ])("a significant %s child with autoShutdown %s is refused", async (restart, rule, fault) => {
    const n = nursery();
    const child = n.spec("a", { restart, significant: true });
    await expect(n.supervise([child], { autoShutdown: rule })).rejects.toThrow(fault);
  });

  test.each<[Restart, ChildExit, ends: boolean]>([
    ["transient", normal, true],
    ["transient", shutdown, true],
    ["transient", abnormal("boom"), false],
    ["temporary", normal, true],
    ["temporary", abnormal("boom"), true],
  ])(
    "significant_simple: any_significant, a %s child ends with %o: ends %s",
    async (restart, exit, ends) => {
      const n = nursery();
      const children = [n.spec("a"), n.spec("b", { restart, significant: true })];
      const supervisor = await n.supervise(children, { autoShutdown: "any_significant" });
      n.diary();
      await n.exit("b", exit);
      expect(supervisor.view().status).toBe(ends ? "stopped" : "running");
      expect(n.diary()).toEqual(ends ? ["stop a"] : []);
      await supervisor.stop();
      expect(await supervisor.exited).toEqual(ends ? shutdown : normal);
    },
  );

  test("significant_simple: all_significant waits for the last one, also for one that restarts", async () => {
    const n = nursery();
    const significant = (id: string) => n.spec(id, { restart: "transient", significant: true });
    const supervisor = await n.supervise([significant("a"), significant("b"), n.spec("c")], {
      autoShutdown: "all_significant",
    });
    await n.exit("b");
    await n.exit("a", normal);
    expect(supervisor.view().status).toBe("running");
    await n.pass(100);
    await n.exit("b", normal);
    expect(await supervisor.exited).toEqual(shutdown);
  });

  test("significant_bystander: who is stopped by hand or by a sibling's restart has not ended by itself", async () => {
    const n = nursery();
    const significant = n.spec("b", { restart: "temporary", significant: true });
    const supervisor = await n.supervise([n.spec("a"), significant, n.spec("c")], {
      autoShutdown: "any_significant",
      strategy: "one_for_all",
    });
    await n.exit("a");
    await n.pass(100);
    expect(statuses(supervisor)).toEqual(["a running", "c running"]);
    const again = { restart: "transient", significant: true } as const;
    await supervisor.startChild(n.spec("d", again));
    await supervisor.stopChild("d");
    expect(supervisor.view().status).toBe("running");
    await supervisor.stop();
  });

  test("significant_escalation: a supervisor that ends so may be significant itself, up to the root", async () => {
    const n = nursery();
    const rule = { autoShutdown: "any_significant" } as const;
    const root = await n.supervise(
      [
        n.spec("other"),
        {
          id: "inner",
          type: "supervisor",
          restart: "transient",
          significant: true,
          start: () =>
            n.supervise([n.spec("a", { restart: "temporary", significant: true })], rule),
        },
      ],
      rule,
    );
    await n.exit("a", normal);
    expect(await root.exited).toEqual(shutdown);
  });
});

describe("ours", () => {
  test("the first restart is at once; backoff doubles while a child keeps crashing, and starts anew after a healthy time", async () => {
    const n = nursery();
    const supervisor = await n.supervise([n.spec("a")], {
      intensity: { maxRestarts: 10, periodMs: 100_000 },
      backoff: { initialMs: 100, maxMs: 300, resetAfterMs: 5_000 },
    });
    await n.exit("a");
    await n.pass(0);
    expect(statuses(supervisor)).toEqual(["a running"]);
    for (const delay of [100, 200, 300, 300]) {
      await n.exit("a");
      await n.pass(delay - 1);
      expect(statuses(supervisor)).toEqual(["a backoff"]);
      await n.pass(1);
      expect(statuses(supervisor)).toEqual(["a running"]);
    }
    await n.pass(5_000);
    await n.exit("a");
    await n.pass(0);
    expect(statuses(supervisor)).toEqual(["a running"]);
    await supervisor.stop();
  });

  test("a restart by hand clears the record: nobody is locked out by the past", async () => {
    const n = nursery();
    const supervisor = await n.supervise([n.spec("a")]);
    for (let turn = 0; turn < 5; turn += 1) {
      await n.exit("a");
      await n.pass(100);
      supervisor.restartChild("a");
      await settle();
    }
    expect(statuses(supervisor)).toEqual(["a running"]);
    await supervisor.stop();
  });

  test("onError() of a spec stops, escalates, or leaves it to the restart type", async () => {
    const n = nursery();
    const verdicts = { BAD_CONFIG: "stop", DISK_FULL: "escalate" } as const;
    const child = n.spec("a", {
      onError: ({ code }) => verdicts[code as keyof typeof verdicts] ?? "restart",
    });
    const supervisor = await n.supervise([child], {
      intensity: { maxRestarts: 5, periodMs: 1_000 },
    });
    await n.exit("a");
    await n.pass(100);
    expect(statuses(supervisor)).toEqual(["a running"]);
    await n.exit("a", abnormal("no such file", "BAD_CONFIG"));
    expect(statuses(supervisor)).toEqual(["a ended"]);
    expect(supervisor.view().children[0]?.status).toBe("failed");
    supervisor.restartChild("a");
    await settle();
    await n.exit("a", abnormal("full", "DISK_FULL"));
    expect(await supervisor.exited).toMatchObject({ error: { code: "CHILD_ESCALATED" } });
  });

  test("a rule that throws counts as no rule", async () => {
    const n = nursery();
    const supervisor = await n.supervise([
      n.spec("a", {
        onError: () => {
          throw new Error("broken rule");
        },
      }),
    ]);
    await n.exit("a");
    await n.pass(100);
    expect(statuses(supervisor)).toEqual(["a running"]);
    await supervisor.stop();
  });

  test("the tree's budget bounds three levels that would multiply", async () => {
    const n = nursery();
    const budget = createRestartBudget({ maxRestarts: 7, periodMs: 1_000_000 });
    const tree = { budget };
    const intensity = { maxRestarts: 5, periodMs: 1_000_000 };
    const nested = (id: string, children: Parameters<typeof n.supervise>[0]) =>
      n.supervise(children, { id, tree, intensity, startFailure: "exits" });
    const root = await nested("root", [
      {
        id: "middle",
        type: "supervisor",
        start: () =>
          nested("middle", [
            {
              id: "low",
              type: "supervisor",
              start: () => nested("low", [n.spec("leaf", { failsFrom: () => 1 })]),
            },
          ]),
      },
    ]);
    for (let turn = 0; turn < 60; turn += 1) await n.pass(1_000);
    expect(await root.exited).toMatchObject({ type: "shutdown" });
    // 7 restarts of anything; without the budget the leaf alone would be started 216 times.
    expect(n.starts("leaf")).toBeGreaterThan(5);
    expect(n.starts("leaf")).toBeLessThanOrEqual(8);
    expect(budget.isLeft(n.timers.now())).toBe(false);
  });
});
