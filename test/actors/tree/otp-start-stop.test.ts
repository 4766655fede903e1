/**
 * Starting, stopping and administering children as OTP's supervisor does.
 * Each test has the name of the case in `supervisor_SUITE` that it answers to; see `docs/supervision.md`.
 *
 * @module
 */

import { describe, expect, test } from "vitest";
import { factsOf } from "../../../actors/tree/child-spec.ts";
import { startDynamicSupervisor } from "../../../actors/tree/dynamic-supervisor.ts";
import { OTP_INTENSITY } from "../../../machines/restart-policy.ts";
import { abnormal, nursery, quietLog, settle, statuses } from "../../support/nursery.ts";

const ignored = async () => "ignore" as const;

describe("sup_start", () => {
  test("sup_start_normal: without children it runs, and ends normally when told", async () => {
    const { supervise } = nursery();
    const supervisor = await supervise([]);
    expect(supervisor.view().status).toBe("running");
    await supervisor.stop();
    expect(await supervisor.exited).toEqual({ type: "normal" });
  });

  test("sup_start_ignore_init: a supervisor that has nothing to supervise leaves its parent running", async () => {
    const { spec, supervise } = nursery();
    const parent = await supervise([
      { id: "empty", type: "supervisor", start: ignored },
      spec("next"),
    ]);
    expect(statuses(parent)).toEqual(["empty ended", "next running"]);
    await parent.stop();
  });

  test("sup_start_ignore_child: the spec of an ignored child stays, and it can be started later", async () => {
    const { spec, supervise } = nursery();
    const supervisor = await supervise([]);
    expect(await supervisor.startChild(spec("child1", { start: ignored }))).toBeUndefined();
    await supervisor.startChild(spec("child2"));
    expect(statuses(supervisor)).toEqual(["child1 ended", "child2 running"]);
    expect(supervisor.countChildren()).toEqual({ specs: 2, active: 1, supervisors: 0, workers: 2 });
    supervisor.restartChild("child1");
    await settle();
    expect(statuses(supervisor)).toEqual(["child1 ended", "child2 running"]);
    await supervisor.stop();
  });

  test("sup_start_ignore_temporary_child: the spec of an ignored temporary child does not stay", async () => {
    const { spec, supervise } = nursery();
    const supervisor = await supervise([
      spec("child1", { start: ignored, restart: "temporary" }),
      spec("child2", { restart: "temporary" }),
    ]);
    expect(statuses(supervisor)).toEqual(["child2 running"]);
    expect(supervisor.countChildren().specs).toBe(1);
    await supervisor.stop();
  });

  test("sup_start_ignore_temporary_child_start_child: nor when it was started at run time", async () => {
    const { spec, supervise } = nursery();
    const supervisor = await supervise([]);
    const child1 = spec("child1", { start: ignored, restart: "temporary" });
    expect(await supervisor.startChild(child1)).toBeUndefined();
    expect(statuses(supervisor)).toEqual([]);
    // The id is free again.
    expect(await supervisor.startChild(child1)).toBeUndefined();
    await supervisor.stop();
  });

  test.each(["temporary", "permanent"] as const)(
    "sup_start_ignore_%s_child_start_child_simple: a dynamic supervisor forgets every ignored child",
    async (restart) => {
      const { spec, timers } = nursery();
      const supervisor = await startDynamicSupervisor<string>({
        id: "dynamic",
        clock: { now: () => new Date(0), monotonicMs: () => timers.now() },
        log: quietLog,
        timers,
        template: {
          restart,
          start: (name, place) => (name === "nobody" ? ignored() : spec(name).start(place)),
        },
      });
      expect(await supervisor.startChild("nobody")).toBeUndefined();
      const second = await supervisor.startChild("somebody");
      expect(second?.id).toBe("2");
      expect(supervisor.countChildren()).toMatchObject({ specs: 1, active: 1 });
      await supervisor.stop();
      expect(await supervisor.exited).toEqual({ type: "normal" });
    },
  );

  test("sup_start_error_return: rules that are none are refused before anything starts", async () => {
    const { diary, spec, supervise } = nursery();
    const intensity = { maxRestarts: -1, periodMs: 0 };
    await expect(supervise([spec("a")], { intensity })).rejects.toMatchObject({
      code: "CHILD_SPECS_INVALID",
    });
    expect(diary()).toEqual([]);
  });

  test("sup_start_fail: a child that cannot start fails the supervisor, which stops the earlier ones", async () => {
    const { diary, spec, supervise } = nursery();
    const broken = spec("b", { failsFrom: () => 1 });
    await expect(supervise([spec("a"), broken, spec("c")])).rejects.toMatchObject({
      code: "RESTART_INTENSITY",
      message: 'Cannot keep "b" running: b cannot start',
      cause: { code: "NO_START" },
    });
    expect(diary()).toEqual(["start a", "fail b", "stop a"]);
  });

  test("sup_start_map: what a spec does not say has a default", () => {
    const start = ignored;
    expect(factsOf({ id: "child1", start })).toEqual({
      id: "child1",
      restart: "permanent",
      type: "worker",
      shutdown: 5_000,
      significant: false,
    });
    expect(factsOf({ id: "child2", start, shutdownMs: "brutal_kill" }).shutdown).toBe(
      "brutal_kill",
    );
    // OTP waits for ever for a supervisor; a node must end some time.
    expect(factsOf({ id: "child3", start, type: "supervisor" }).shutdown).toBe(60_000);
  });

  test("sup_start_map_faulty_specs: all faults are named at once, unknown keys are none", async () => {
    const { diary, spec, supervise } = nursery();
    const wrong = supervise([
      spec(""),
      spec("child2", { restart: "often" as "permanent" }),
      spec("child3", { shutdownMs: -1 }),
      spec("child3", { type: "thing" as "worker" }),
    ]);
    await expect(wrong).rejects.toThrow(
      'Cannot use the specs of supervisor "root": child 1: has no id; ' +
        'child "child2": restart is "often", not one of permanent, transient, temporary; ' +
        'child "child3": shutdownMs is -1, not a time of 0 ms or more, brutal_kill or infinity; ' +
        'child "child3": type is "thing", not one of worker, supervisor; ' +
        'child "child3": there are two of that id',
    );
    expect(diary()).toEqual([]);
    const supervisor = await supervise([{ ...spec("child4"), silly: true } as never]);
    await supervisor.stop();
  });
});

describe("sup_stop", () => {
  test.each(["worker", "supervisor"] as const)(
    "sup_stop_infinity: a %s that needs long is waited for",
    async (type) => {
      const { diary, exit, pass, spec, supervise } = nursery();
      const supervisor = await supervise([
        spec("child1", { type, shutdownMs: "infinity", deaf: true }),
        spec("child2"),
      ]);
      diary();
      const stopped = supervisor.stop();
      await settle();
      await pass(86_400_000);
      expect(diary()).toEqual(["stop child2", "stop child1"]);
      expect(supervisor.view().status).toBe("stopping");
      await exit("child1", { type: "shutdown" });
      await stopped;
    },
  );

  test("sup_stop_timeout: a child that sleeps is killed when its time is over, its sibling is asked", async () => {
    const { diary, pass, spec, supervise } = nursery();
    const supervisor = await supervise([
      spec("child1", { shutdownMs: 1_000 }),
      spec("child2", { shutdownMs: 1_000, deaf: true }),
    ]);
    diary();
    const stopped = supervisor.stop();
    await pass(999);
    expect(diary()).toEqual(["stop child2"]);
    await pass(1);
    await stopped;
    expect(diary()).toEqual(["kill child2", "stop child1"]);
  });

  test("sup_stop_brutal_kill: one child is killed without being asked, the other asked", async () => {
    const { diary, spec, supervise } = nursery();
    const supervisor = await supervise([
      spec("child1", { shutdownMs: 1_000 }),
      spec("child2", { shutdownMs: "brutal_kill" }),
    ]);
    diary();
    await supervisor.stop();
    expect(diary()).toEqual(["kill child2", "stop child1"]);
  });

  test("sup_stop_brutal_kill_dynamic: children of a dynamic supervisor all end at once", async () => {
    const { diary, spec, timers } = nursery();
    const supervisor = await startDynamicSupervisor<string>({
      id: "dynamic",
      clock: { now: () => new Date(0), monotonicMs: () => timers.now() },
      log: quietLog,
      timers,
      template: { shutdownMs: "brutal_kill", start: (name, place) => spec(name).start(place) },
    });
    for (const name of ["a", "b", "c"]) await supervisor.startChild(name);
    diary();
    await supervisor.stop();
    expect(diary()).toEqual(["kill a", "kill b", "kill c"]);
  });

  test("a child that nothing can end is left behind, so that the tree still stops", async () => {
    const { pass, supervise } = nursery();
    const supervisor = await supervise([
      {
        id: "stone",
        shutdownMs: 100,
        start: async () => ({
          exited: new Promise<never>(() => undefined),
          stop: () => new Promise<never>(() => undefined),
        }),
      },
    ]);
    const stopped = supervisor.stop();
    await pass(100);
    await stopped;
    expect(await supervisor.exited).toEqual({ type: "normal" });
  });
});

describe("administration", () => {
  test("child_adm: start, stop, restart and delete, each refused where it makes no sense", async () => {
    const { diary, spec, supervise } = nursery();
    const supervisor = await supervise([spec("child1")]);
    await expect(supervisor.startChild(spec("child1"))).rejects.toMatchObject({
      code: "CHILD_EXISTS",
    });
    expect(() => supervisor.deleteChild("child1")).toThrow(/it is running; stop it first/);
    await supervisor.stopChild("child1");
    // Once more is no fault.
    await supervisor.stopChild("child1");
    expect(statuses(supervisor)).toEqual(["child1 ended"]);
    await expect(supervisor.startChild(spec("child1"))).rejects.toThrow(/restart or delete it/);
    supervisor.restartChild("child1");
    await settle();
    expect(statuses(supervisor)).toEqual(["child1 running"]);
    await supervisor.stopChild("child1");
    supervisor.deleteChild("child1");
    expect(statuses(supervisor)).toEqual([]);
    await supervisor.startChild(spec("child1"));
    expect(supervisor.countChildren()).toEqual({ specs: 1, active: 1, supervisors: 0, workers: 1 });
    for (const unknown of [
      () => supervisor.restartChild("child2"),
      () => supervisor.deleteChild("child2"),
    ])
      expect(unknown).toThrow(/Cannot find child "child2" of supervisor "root": there are child1/);
    await expect(supervisor.stopChild("child2")).rejects.toMatchObject({ code: "CHILD_UNKNOWN" });
    diary();
    await supervisor.stop();
    await expect(supervisor.startChild(spec("late"))).rejects.toMatchObject({
      code: "SUPERVISOR_STOPPED",
    });
    expect(diary()).toEqual(["stop child1"]);
  });

  test("child_adm: a start that fails is told to whoever asked, is not kept and charges no restart", async () => {
    const { exit, pass, spec, supervise } = nursery();
    const supervisor = await supervise([spec("a")]);
    const broken = spec("b", { failsFrom: () => 1 });
    await expect(supervisor.startChild(broken)).rejects.toMatchObject({ code: "NO_START" });
    await expect(supervisor.startChild(broken)).rejects.toMatchObject({ code: "NO_START" });
    expect(statuses(supervisor)).toEqual(["a running"]);
    await exit("a");
    await pass(100);
    expect(statuses(supervisor)).toEqual(["a running"]);
    await supervisor.stop();
  });

  test("child_adm_simple: a child of a dynamic supervisor that is stopped is gone with its spec", async () => {
    const { spec, timers } = nursery();
    const supervisor = await startDynamicSupervisor<string>({
      id: "dynamic",
      clock: { now: () => new Date(0), monotonicMs: () => timers.now() },
      log: quietLog,
      timers,
      template: { start: (name, place) => spec(name).start(place) },
    });
    const started = await supervisor.startChild("a");
    await supervisor.stopChild(started?.id ?? "");
    expect(supervisor.countChildren().specs).toBe(0);
    expect(() => supervisor.restartChild("1")).toThrow(/there are none/);
    await supervisor.stop();
  });

  test("child_specs: faulty specs are refused at run time too, and nothing is added", async () => {
    const { spec, supervise } = nursery();
    const supervisor = await supervise([]);
    const faulty = spec("child", { restart: "temporary", significant: true });
    await expect(supervisor.startChild(faulty)).rejects.toThrow(
      /child "child": is significant, but autoShutdown is never/,
    );
    expect(statuses(supervisor)).toEqual([]);
    expect(supervisor.childSpec("child")).toBeUndefined();
    await supervisor.startChild(spec("child", { restart: "transient", shutdownMs: "infinity" }));
    expect(supervisor.childSpec("child")).toEqual({
      id: "child",
      restart: "transient",
      type: "worker",
      shutdown: "infinity",
      significant: false,
    });
    await supervisor.stop();
  });

  test("extra_return: whoever starts a child gets the very child", async () => {
    const { spec, supervise } = nursery();
    const supervisor = await supervise([]);
    const given: unknown[] = [];
    const child = await supervisor.startChild({
      id: "child",
      start: async (place) => {
        const made = await spec("child").start(place);
        given.push(made);
        return made;
      },
    });
    expect(given).toEqual([child]);
    await supervisor.stop();
  });

  test("sup_flags: strategy, intensity and autoShutdown are checked and shown", async () => {
    const { supervise } = nursery();
    const flags = { strategy: "rest_for_one", intensity: OTP_INTENSITY } as const;
    const supervisor = await supervise([], { ...flags, autoShutdown: "any_significant" });
    expect(supervisor.view()).toMatchObject({ ...flags, autoShutdown: "any_significant" });
    await supervisor.stop();
    await expect(supervise([], { strategy: "one_for_none" as never })).rejects.toThrow(
      /strategy is "one_for_none", not one of one_for_one, one_for_all, rest_for_one/,
    );
    await expect(supervise([], { intensity: { maxRestarts: 1.5, periodMs: 1 } })).rejects.toThrow(
      /intensity.maxRestarts is 1.5, not a whole number of at least 0/,
    );
    await expect(supervise([], { autoShutdown: "sometimes" as never })).rejects.toThrow(
      /autoShutdown is "sometimes"/,
    );
  });

  test("count_children: supervisors and workers, running or not", async () => {
    const { exit, spec, supervise } = nursery();
    const supervisor = await supervise([
      spec("worker1"),
      spec("worker2", { restart: "transient" }),
      { id: "inner", type: "supervisor", start: () => supervise([spec("x")], { id: "inner" }) },
    ]);
    expect(supervisor.countChildren()).toEqual({ specs: 3, active: 3, supervisors: 1, workers: 2 });
    await exit("worker2", { type: "normal" });
    expect(supervisor.countChildren()).toEqual({ specs: 3, active: 2, supervisors: 1, workers: 2 });
    await exit("worker1", abnormal("boom"));
    expect(supervisor.countChildren().active).toBe(1);
    await supervisor.stop();
  });
});
