/**
 * Specs and rules that are refused or changed, starts that fail, orders of many children.
 * Each test has the name of the case in `supervisor_SUITE` that it answers to; see `docs/supervision.md`.
 *
 * @module
 */

import { describe, expect, test } from "vitest";
import { createDirectory } from "../../../actors/tree/directory.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import type { Restart } from "../../../machines/restart-policy.ts";
import {
  abnormal,
  killed,
  movedAway,
  normal,
  nursery,
  settle,
  shutdown,
  statuses,
} from "../../support/nursery.ts";

const strategies = ["one_for_one", "one_for_all", "rest_for_one"] as const;
const restarts = ["permanent", "transient", "temporary"] as const;
const patient = { intensity: { maxRestarts: 5, periodMs: 3_600_000 } };

describe("starts that fail", () => {
  test("sup_start_child_returns_error: whoever asked is told, and no spec stays", async () => {
    const n = nursery();
    const supervisor = await n.supervise([]);
    const broken = n.spec("child1", { failsFrom: () => 1 });
    await expect(supervisor.startChild(broken)).rejects.toMatchObject({ code: "NO_START" });
    const odd = { id: "child2", start: () => Promise.reject(new RangeError("reason")) };
    await expect(supervisor.startChild(odd)).rejects.toThrow(new RangeError("reason"));
    expect(supervisor.whichChildren()).toEqual([]);
    await supervisor.stop();
  });

  test("sup_start_restart_child_returns_error: a restart by hand that fails goes on by the rules", async () => {
    const n = nursery();
    let failing = Number.POSITIVE_INFINITY;
    const child = n.spec("child1", { failsFrom: () => failing });
    const supervisor = await n.supervise([child], patient);
    await supervisor.stopChild("child1");
    failing = 2;
    supervisor.restartChild("child1");
    await settle();
    // OTP leaves it down and tells the caller; here the operator's wish stands.
    expect(supervisor.whichChildren()[0]).toMatchObject({ lastError: { code: "NO_START" } });
    failing = Number.POSITIVE_INFINITY;
    await n.pass(1_000);
    expect(statuses(supervisor)).toEqual(["child1 running"]);
    await supervisor.stop();
  });
});

test("sup_stop_race: children that end by themselves meanwhile, in any way, hold up nothing", async () => {
  const n = nursery();
  const exits = [normal, shutdown, movedAway, abnormal("other")];
  const middle = restarts.flatMap((restart) =>
    exits.map((exit, at) => ({ id: `${restart}${at}`, restart, exit })),
  );
  const supervisor = await n.supervise([
    n.spec("a", { restart: "temporary" }),
    ...middle.map(({ id, restart }) => n.spec(id, { restart })),
    n.spec("z", { restart: "temporary", shutdownMs: 2_000, deaf: true }),
  ]);
  n.diary();
  const stopped = supervisor.stop();
  await settle();
  expect(n.diary()).toEqual(["stop z"]);
  // The supervisor still waits for the last one.
  for (const { id, exit } of middle) await n.exit(id, exit);
  expect(supervisor.view().status).toBe("stopping");
  await n.exit("z", shutdown);
  await stopped;
  expect(n.diary()).toEqual(["stop a"]);
  expect(await supervisor.exited).toEqual(normal);
  for (const { id } of middle) expect(n.starts(id)).toBe(1);
});

describe("specs", () => {
  const bad: readonly [what: string, spec: unknown, fault: RegExp][] = [
    ["no spec at all", "hej", /child 1: has no id/],
    ["nothing", null, /child 1: has no id; child 1: has no start function/],
    ["an empty one", {}, /child 1: has no id; child 1: has no start function/],
    ["no start", { id: "child" }, /child "child": has no start function/],
    ["no id", { start: async () => "ignore" }, /child 1: has no id/],
    ["a start that is none", { id: "child", start: "mfa" }, /child "child": has no start function/],
    ["a restart type", { restart: "prmanent" }, /restart is "prmanent"/],
    ["a shutdown time", { shutdownMs: -10 }, /shutdownMs is -10/],
    ["a shutdown that is none", { shutdownMs: Number.NaN }, /shutdownMs is null/],
    ["a type", { type: "wrker" }, /type is "wrker"/],
    ["significant", { significant: "maybe" }, /significant is "maybe"/],
  ];
  test.each(bad)("child_specs_map: %s is refused", async (_what, given, fault) => {
    const n = nursery();
    const supervisor = await n.supervise([]);
    const isPart = Object(given).restart ?? Object(given).shutdownMs ?? Object(given).type;
    const isWhole = isPart === undefined && Object(given).significant === undefined;
    const spec = (isWhole ? given : { ...n.spec("child"), ...Object(given) }) as never;
    await expect(supervisor.startChild(spec)).rejects.toThrow(fault);
    expect(() => supervisor.changeSpecs({ children: [spec] })).toThrow(fault);
    expect(supervisor.whichChildren()).toEqual([]);
    await supervisor.stop();
    await expect(n.supervise([spec])).rejects.toThrow(fault);
    expect(n.diary()).toEqual([]);
  });

  test("child_specs: every combination of right values is taken, and only those", async () => {
    const n = nursery();
    const supervisors = {
      never: await n.supervise([]),
      any_significant: await n.supervise([], { autoShutdown: "any_significant" }),
      all_significant: await n.supervise([], { autoShutdown: "all_significant" }),
    };
    let taken = 0;
    let refused = 0;
    for (const [rule, supervisor] of Object.entries(supervisors)) {
      for (const restart of [undefined, ...restarts]) {
        for (const shutdownMs of [undefined, 0, 1_000, "infinity", "brutal_kill"] as const) {
          for (const type of [undefined, "supervisor", "worker"] as const) {
            for (const significant of [undefined, true, false]) {
              const facts = { restart, shutdownMs, type, significant, dummy: "dummy" };
              const known = Object.entries(facts).filter(([, value]) => value !== undefined);
              const spec = n.spec("child", Object.fromEntries(known));
              const isPermanent = (restart ?? "permanent") === "permanent";
              const isWrong = significant === true && (rule === "never" || isPermanent);
              const change = () => supervisor.changeSpecs({ children: [spec] });
              if (isWrong) expect(change).toThrow(/is significant/);
              else expect(change).not.toThrow();
              if (isWrong) refused += 1;
              else taken += 1;
            }
          }
        }
      }
      await supervisor.stop();
    }
    expect([taken, refused]).toEqual([420, 120]);
    // Told to whom it is new, and started by nobody.
    expect(n.diary()).toEqual([]);
  });

  test.each<[string, object, RegExp]>([
    ["strategy", { strategy: "none_for_one" }, /strategy is "none_for_one"/],
    ["intensity", { intensity: { maxRestarts: "infinity", periodMs: 1 } }, /is "infinity", not a/],
    ["no period", { intensity: { maxRestarts: 2, periodMs: 0 } }, /intensity.periodMs is 0/],
    ["period", { intensity: { maxRestarts: 2, periodMs: Infinity } }, /intensity.periodMs is null/],
    ["autoShutdown", { autoShutdown: "sometimes" }, /autoShutdown is "sometimes"/],
  ])("sup_flags: a wrong %s is refused at the start and later", async (_name, flags, fault) => {
    const n = nursery();
    await expect(n.supervise([], flags)).rejects.toThrow(fault);
    const supervisor = await n.supervise([], { silly: true } as object);
    expect(() => supervisor.changeSpecs(flags)).toThrow(fault);
    await supervisor.stop();
  });

  test("code_change: rules alone change too, whatever children there are", async () => {
    const n = nursery();
    const supervisor = await n.supervise([n.spec("a"), n.spec("b")]);
    supervisor.changeSpecs({ strategy: "one_for_all", ...patient });
    expect(supervisor.view()).toMatchObject({ strategy: "one_for_all", ...patient });
    n.diary();
    await n.exit("b");
    await n.pass(100);
    expect(n.diary()).toEqual(["stop a", "start a", "start b"]);
    await supervisor.stop();
  });
});

test("multiple_restarts: restarts that keep to the intensity go on for ever", async () => {
  const n = nursery();
  const supervisor = await n.supervise([n.spec("child1", { shutdownMs: "brutal_kill" })], {
    intensity: { maxRestarts: 1, periodMs: 1_000 },
  });
  for (let turn = 1; turn <= 20; turn += 1) {
    await n.exit("child1");
    await n.pass(2_100);
    expect(n.starts("child1")).toBe(turn + 1);
  }
  await supervisor.stopChild("child1");
  supervisor.deleteChild("child1");
  expect(supervisor.view().status).toBe("running");
  await supervisor.stop();
});

describe("what is kept of a child", () => {
  const ends: readonly (ChildExit | "stopped")[] = [killed, normal, abnormal("died"), "stopped"];
  const cases = strategies.flatMap((strategy) =>
    restarts.flatMap((restart) => ends.map((end) => [strategy, restart, end] as const)),
  );
  test.each(cases)(
    "do_not_save_child_specs_for_temporary_children: %s, %s, %o",
    async (strategy, restart, end) => {
      const n = nursery();
      const supervisor = await n.supervise([], { ...patient, strategy });
      const spec = n.spec("child", { restart });
      await supervisor.startChild(spec);
      if (end === "stopped") await supervisor.stopChild("child");
      else await n.exit("child", end);
      await n.pass(1_000);
      const isDone = end === "stopped" || (restart === "transient" && end === normal);
      const left: Record<Restart, readonly string[]> = {
        permanent: [isDone ? "child ended" : "child running"],
        transient: [isDone ? "child ended" : "child running"],
        temporary: [],
      };
      expect(statuses(supervisor)).toEqual(left[restart]);
      const again = supervisor.startChild(spec);
      if (restart === "temporary") await again;
      else await expect(again).rejects.toMatchObject({ code: "CHILD_EXISTS" });
      if (restart !== "temporary") supervisor.restartChild("child");
      await settle();
      expect(statuses(supervisor)).toEqual(["child running"]);
      await supervisor.stop();
    },
  );

  test("a temporary child that runs cannot be restarted by hand: its start is not kept", async () => {
    const n = nursery();
    const supervisor = await n.supervise([n.spec("child", { restart: "temporary" })]);
    expect(() => supervisor.restartChild("child")).toThrow(/it is temporary, so its start/);
    expect(statuses(supervisor)).toEqual(["child running"]);
    await supervisor.stop();
  });
});

describe("trees and orders", () => {
  test("tree: children that were started at run time do not come back with their supervisor", async () => {
    const n = nursery();
    let inner: Awaited<ReturnType<typeof n.supervise>> | undefined;
    const root = await n.supervise(
      [
        {
          id: "sup",
          type: "supervisor",
          start: async () => {
            inner = await n.supervise([n.spec("fixed")], {
              id: "sup",
              intensity: { maxRestarts: 0, periodMs: 1_000 },
            });
            return inner;
          },
        },
      ],
      patient,
    );
    await inner?.startChild(n.spec("late"));
    expect(root.view().children[0]?.children.map(({ id }) => id)).toEqual(["fixed", "late"]);
    await n.exit("late");
    await n.pass(1_000);
    expect(root.view().children[0]?.children.map(({ id }) => id)).toEqual(["fixed"]);
    expect(n.starts("late")).toBe(1);
    await root.stop();
  });

  test("simple_global_supervisor: an address finds the new child, whoever ended and however", async () => {
    const n = nursery();
    const directory = createDirectory();
    const tree = { directory };
    let middle: Awaited<ReturnType<typeof n.supervise>> | undefined;
    const top = await n.supervise(
      [
        {
          id: "middle",
          type: "supervisor",
          start: async (place) => {
            middle = await n.supervise([n.spec("server")], {
              ...place,
              id: "middle",
              strategy: "one_for_all",
              ...patient,
            });
            return middle;
          },
        },
      ],
      { ...patient, strategy: "one_for_all", tree },
    );
    const address = "/root/middle/server";
    const heard = (word: string) => {
      expect(directory.send(address, word)).toBe("delivered");
      expect(n.events.splice(0)).toEqual([`server ${word}`]);
    };
    heard("at first");
    for (const exit of [killed, normal]) {
      await n.exit("server", exit);
      await n.pass(1_000);
      heard(exit.type);
    }
    await middle?.stopChild("server");
    expect(directory.isUp(address)).toBe(false);
    middle?.restartChild("server");
    await settle();
    heard("by hand");
    // The supervisor between them goes, and takes its child along.
    const before = n.starts("server");
    await middle?.stop();
    await settle();
    await n.pass(1_000);
    expect(n.starts("server")).toBe(before + 1);
    heard("anew");
    await top.stop();
    expect(directory.isUp(address)).toBe(false);
  });

  test("hanging_restart_loop_rest_for_one: later siblings wait with it, earlier ones go on", async () => {
    const n = nursery();
    let failing = Number.POSITIVE_INFINITY;
    const supervisor = await n.supervise(
      [n.spec("child1"), n.spec("child2", { failsFrom: () => failing }), n.spec("child3")],
      { strategy: "rest_for_one", intensity: { maxRestarts: 50, periodMs: 3_600_000 } },
    );
    failing = 2;
    await n.exit("child2");
    for (let turn = 0; turn < 8; turn += 1) await n.pass(1_000);
    expect(statuses(supervisor)).toEqual(["child1 running", "child2 backoff", "child3 waiting"]);
    expect(supervisor.countChildren()).toEqual({ specs: 3, active: 1, supervisors: 0, workers: 3 });
    await expect(supervisor.startChild(n.spec("child2"))).rejects.toMatchObject({
      code: "CHILD_EXISTS",
    });
    expect(() => supervisor.deleteChild("child2")).toThrow(/it is backoff; stop it first/);
    await supervisor.stopChild("child2");
    expect(n.starts("child1")).toBe(1);
    failing = Number.POSITIVE_INFINITY;
    supervisor.restartChild("child2");
    await settle();
    expect(statuses(supervisor)).toEqual(["child1 running", "child2 running", "child3 running"]);
    failing = 1;
    await n.exit("child2");
    await n.pass(1_000);
    await supervisor.stop();
    expect(await supervisor.exited).toEqual(normal);
  });

  test("order_of_children: started as given, stopped in reverse, whatever their names", async () => {
    const n = nursery();
    const ids = ["ch7", "ch3", "ch10", "ch2", "ch5"];
    const children = ids.map((id) => n.spec(id));
    const supervisor = await n.supervise(children, { strategy: "rest_for_one", ...patient });
    expect(n.diary()).toEqual(ids.map((id) => `start ${id}`));
    expect(supervisor.whichChildren().map(({ id }) => id)).toEqual(ids);
    await n.exit("ch10");
    await n.pass(100);
    expect(n.diary()).toEqual(["stop ch5", "stop ch2", "start ch10", "start ch2", "start ch5"]);
    await supervisor.stop();
    expect(n.diary()).toEqual(ids.toReversed().map((id) => `stop ${id}`));
  });

  test("scale_start_stop_many_children: 3,000 are started and stopped one by one", async () => {
    const n = nursery();
    const supervisor = await n.supervise([]);
    const ids = Array.from({ length: 3_000 }, (_, at) => `child${at}`);
    for (const id of ids) await supervisor.startChild(n.spec(id));
    expect(supervisor.countChildren()).toMatchObject({ specs: 3_000, active: 3_000 });
    for (const id of ids) await supervisor.stopChild(id);
    expect(supervisor.countChildren()).toMatchObject({ specs: 3_000, active: 0 });
    await supervisor.stop();
  }, 120_000);
});
