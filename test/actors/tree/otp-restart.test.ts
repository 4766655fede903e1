/**
 * What exits mean, which siblings restart, and when a supervisor gives up, as in OTP.
 * Each test has the name of the case in `supervisor_SUITE` that it answers to; see `docs/supervision.md`.
 *
 * @module
 */

import { describe, expect, test } from "vitest";
import { startDynamicSupervisor } from "../../../actors/tree/dynamic-supervisor.ts";
import type { Supervisor } from "../../../actors/tree/supervisor.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import type { Restart, Strategy } from "../../../machines/restart-policy.ts";
import {
  abnormal,
  movedAway,
  normal,
  nursery,
  quietLog,
  settle,
  shutdown,
  statuses,
} from "../../support/nursery.ts";

describe("restart types", () => {
  type Fate = "restarted" | "kept" | "forgotten";
  const cases: readonly [name: string, Restart, ChildExit, Fate][] = [
    ["permanent_normal", "permanent", normal, "restarted"],
    ["transient_normal", "transient", normal, "kept"],
    ["temporary_normal", "temporary", normal, "forgotten"],
    ["permanent_shutdown", "permanent", shutdown, "restarted"],
    ["permanent_shutdown {shutdown, Term}", "permanent", movedAway, "restarted"],
    ["transient_shutdown", "transient", shutdown, "kept"],
    ["transient_shutdown {shutdown, Term}", "transient", movedAway, "kept"],
    ["temporary_shutdown", "temporary", shutdown, "forgotten"],
    ["temporary_shutdown {shutdown, Term}", "temporary", movedAway, "forgotten"],
    ["permanent_abnormal", "permanent", abnormal("boom"), "restarted"],
    ["transient_abnormal", "transient", abnormal("boom"), "restarted"],
    ["temporary_abnormal", "temporary", abnormal("boom"), "forgotten"],
  ];
  const rows: Readonly<Record<Fate, readonly string[]>> = {
    restarted: ["child running"],
    kept: ["child ended"],
    forgotten: [],
  };

  test.each(cases)("%s", async (_name, restart, exit, fate) => {
    const n = nursery();
    const supervisor = await n.supervise([n.spec("child", { restart })]);
    await n.exit("child", exit);
    await n.pass(100);
    expect(statuses(supervisor)).toEqual(rows[fate]);
    expect(n.starts("child")).toBe(fate === "restarted" ? 2 : 1);
    await supervisor.stop();
  });

  test("faulty_application_shutdown: a subtree that ends with shutdown and a reason is not restarted when transient", async () => {
    const n = nursery();
    const supervisor = await n.supervise([
      {
        id: "application",
        type: "supervisor",
        restart: "transient",
        start: () => n.supervise([n.spec("faulty")], { id: "application" }),
      },
    ]);
    await n.exit("faulty");
    await n.pass(100);
    await n.exit("faulty");
    await n.pass(1_000);
    expect(statuses(supervisor)).toEqual(["application ended"]);
    expect(supervisor.view().children[0]).toMatchObject({
      status: "failed",
      lastError: { code: "RESTART_INTENSITY", cause: { message: "faulty crashed" } },
    });
    await supervisor.stop();
  });

  test.each(["one_for_all", "rest_for_one"] as const)(
    "temporary_bystander: %s ends a temporary sibling and forgets it",
    async (strategy) => {
      const n = nursery();
      const children = [n.spec("child1"), n.spec("child2", { restart: "temporary" })];
      const supervisor = await n.supervise(children, { strategy });
      await n.exit("child1");
      await n.pass(100);
      expect(statuses(supervisor)).toEqual(["child1 running"]);
      expect(n.diary()).toEqual(["start child1", "start child2", "stop child2", "start child1"]);
      await supervisor.stop();
    },
  );
});

/** Four children; crashes one, waits for its restart. */
async function group(strategy: Strategy, intensity = { maxRestarts: 2, periodMs: 10_000 }) {
  const n = nursery();
  const names = ["a", "b", "c", "d"];
  const supervisor = await n.supervise(
    names.map((name) => n.spec(name)),
    { strategy, intensity },
  );
  n.diary();
  return { ...n, supervisor };
}

async function checkGroup(strategy: Strategy, expected: readonly string[]): Promise<void> {
  const n = await group(strategy);
  await n.exit("b");
  await n.pass(100);
  expect(n.diary()).toEqual(expected);
  expect(statuses(n.supervisor)).toEqual(["a running", "b running", "c running", "d running"]);
  await n.supervisor.stop();
}

async function checkEscalation(strategy: Strategy): Promise<void> {
  const n = await group(strategy, { maxRestarts: 1, periodMs: 10_000 });
  await n.exit("b");
  await n.pass(100);
  n.diary();
  await n.exit("b");
  expect(await n.supervisor.exited).toMatchObject({
    type: "shutdown",
    error: { code: "RESTART_INTENSITY", message: 'Cannot keep "b" running: b crashed' },
  });
  expect(n.diary()).toEqual(["stop d", "stop c", "stop a"]);
}

/** The second child's restart fails once, while the group restarts for the first one. */
async function checkOtherFails(strategy: Strategy, expected: readonly string[]): Promise<void> {
  const n = nursery();
  let failing = Number.POSITIVE_INFINITY;
  const supervisor = await n.supervise(
    [n.spec("a"), n.spec("b", { failsFrom: () => failing }), n.spec("c")],
    { strategy, intensity: { maxRestarts: 3, periodMs: 10_000 } },
  );
  n.diary();
  failing = 2;
  await n.exit("a");
  await n.pass(100);
  failing = Number.POSITIVE_INFINITY;
  await n.pass(100);
  expect(n.diary()).toEqual(expected);
  expect(statuses(supervisor)).toEqual(["a running", "b running", "c running"]);
  await supervisor.stop();
}

describe("strategies", () => {
  test("one_for_one", () => checkGroup("one_for_one", ["start b"]));
  test("one_for_all", () =>
    checkGroup("one_for_all", [
      "stop d",
      "stop c",
      "stop a",
      "start a",
      "start b",
      "start c",
      "start d",
    ]));
  test("rest_for_one", () =>
    checkGroup("rest_for_one", ["stop d", "stop c", "start b", "start c", "start d"]));

  test("one_for_one_escalation", () => checkEscalation("one_for_one"));
  test("one_for_all_escalation", () => checkEscalation("one_for_all"));
  test("rest_for_one_escalation", () => checkEscalation("rest_for_one"));

  test("one_for_all_other_child_fails_restart: the whole group restarts once more", () =>
    checkOtherFails("one_for_all", [
      "stop c",
      "stop b",
      "start a",
      "fail b",
      "stop a",
      "start a",
      "start b",
      "start c",
    ]));
  test("rest_for_one_other_child_fails_restart: from the one that failed on", () =>
    checkOtherFails("rest_for_one", [
      "stop c",
      "stop b",
      "start a",
      "fail b",
      "start b",
      "start c",
    ]));

  test("multiple_restarts: restarts that failed count, until the intensity", async () => {
    const n = nursery();
    let failing = Number.POSITIVE_INFINITY;
    const supervisor = await n.supervise([n.spec("a", { failsFrom: () => failing })], {
      intensity: { maxRestarts: 3, periodMs: 10_000 },
    });
    failing = 2;
    await n.exit("a");
    for (const delay of [100, 200, 400]) await n.pass(delay);
    expect(n.starts("a")).toBe(4);
    expect(await supervisor.exited).toMatchObject({
      error: { code: "RESTART_INTENSITY", cause: { code: "NO_START" } },
    });
  });

  test("a child that was stopped by hand starts with its group, as in OTP", async () => {
    const n = await group("one_for_all");
    await n.supervisor.stopChild("c");
    await n.exit("b");
    await n.pass(100);
    expect(statuses(n.supervisor)).toEqual(["a running", "b running", "c running", "d running"]);
    await n.supervisor.stop();
  });
});

describe("dynamic children", () => {
  async function dynamic(restart: Restart, intensity = { maxRestarts: 1, periodMs: 1_000 }) {
    const n = nursery();
    const supervisor = await startDynamicSupervisor<{ name: string; extra?: string }>({
      id: "dynamic",
      intensity,
      backoff: { initialMs: 100, maxMs: 100 },
      clock: { now: () => new Date(0), monotonicMs: () => n.timers.now() },
      log: quietLog,
      timers: n.timers,
      random: () => 0,
      template: {
        restart,
        start: ({ name, extra }, place) => n.spec(`${name}${extra ?? ""}`).start(place),
      },
    });
    return { ...n, supervisor };
  }

  test("simple_one_for_one: only the crashed child restarts", async () => {
    const n = await dynamic("permanent");
    for (const name of ["a", "b"]) await n.supervisor.startChild({ name });
    n.diary();
    await n.exit("a");
    await n.pass(100);
    expect(n.diary()).toEqual(["start a"]);
    expect(statuses(n.supervisor)).toEqual(["1 running", "2 running"]);
    await n.supervisor.stop();
  });

  test("simple_one_for_one_extra: a child restarts with the arguments of its own start", async () => {
    const n = await dynamic("permanent");
    await n.supervisor.startChild({ name: "a", extra: "+x" });
    await n.supervisor.startChild({ name: "b" });
    await n.exit("a+x");
    await n.pass(100);
    expect(n.starts("a+x")).toBe(2);
    await n.supervisor.stop();
  });

  test("simple_one_for_one_shutdown: all children are asked at once, none waits for another", async () => {
    const n = await dynamic("permanent");
    for (const name of ["a", "b", "c"]) await n.supervisor.startChild({ name });
    n.diary();
    const stopped = n.supervisor.stop();
    await settle();
    expect(n.diary()).toEqual(["stop a", "stop b", "stop c"]);
    await stopped;
  });

  test("simple_one_for_one_escalation", async () => {
    const n = await dynamic("permanent");
    for (const name of ["a", "b"]) await n.supervisor.startChild({ name });
    await n.exit("a");
    await n.pass(100);
    n.diary();
    await n.exit("a");
    expect(await n.supervisor.exited).toMatchObject({ type: "shutdown" });
    expect(n.diary()).toEqual(["stop b"]);
  });

  test("do_not_save_start_parameters_for_temporary_children: nor those of a transient one that is done", async () => {
    for (const restart of ["temporary", "transient"] as const) {
      const n = await dynamic(restart);
      const started = await n.supervisor.startChild({ name: "a" });
      await n.exit("a", normal);
      expect(n.supervisor.countChildren().specs).toBe(0);
      expect(() => n.supervisor.restartChild(started?.id ?? "")).toThrow(/Cannot find child/);
      await n.supervisor.stop();
    }
  });

  test("do_not_save_child_specs_for_temporary_children", async () => {
    const n = nursery();
    const supervisor = await n.supervise([n.spec("a", { restart: "temporary" })]);
    await supervisor.startChild(n.spec("b", { restart: "temporary" }));
    await n.exit("b");
    await n.exit("a", normal);
    expect(supervisor.childSpec("a")).toBeUndefined();
    // The ids are free.
    await supervisor.startChild(n.spec("b"));
    expect(statuses(supervisor)).toEqual(["b running"]);
    await supervisor.stop();
  });

  test("simple_one_for_one_scale_many_temporary_children: 3,000 come and go, nothing is left of them", async () => {
    const n = await dynamic("temporary");
    const names = Array.from({ length: 3_000 }, (_, index) => `child${index}`);
    await Promise.all(names.map((name) => n.supervisor.startChild({ name })));
    expect(n.supervisor.countChildren()).toMatchObject({ specs: 3_000, active: 3_000 });
    for (const name of names.slice(0, 1_500)) void n.exit(name, normal);
    await settle();
    expect(n.supervisor.countChildren()).toMatchObject({ specs: 1_500, active: 1_500 });
    await n.supervisor.stop();
    expect(n.supervisor.countChildren().specs).toBe(0);
  }, 60_000);

  test("simple_global_supervisor: a supervisor below a dynamic one restarts its children itself", async () => {
    const n = nursery();
    const outer = await startDynamicSupervisor<Supervisor["id"]>({
      id: "dynamic",
      clock: { now: () => new Date(0), monotonicMs: () => n.timers.now() },
      log: quietLog,
      timers: n.timers,
      template: {
        type: "supervisor",
        start: (id, place) => n.supervise([n.spec(`${id}-child`)], { ...place, id }),
      },
    });
    await outer.startChild("middle");
    await n.exit("middle-child");
    await n.pass(100);
    expect(n.starts("middle-child")).toBe(2);
    expect(outer.view().children[0]?.children[0]?.address).toBe("/dynamic/1/middle-child");
    await outer.stop();
  });
});
