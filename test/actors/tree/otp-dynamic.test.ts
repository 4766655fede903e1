/**
 * Dynamic supervisors (OTP's `simple_one_for_one`): what they refuse, count, keep and stop.
 * Each test has the name of the case in `supervisor_SUITE` that it answers to; see `docs/supervision.md`.
 *
 * @module
 */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import {
  type ChildTemplate,
  type DynamicSupervisorOptions,
  startDynamicSupervisor,
} from "../../../actors/tree/dynamic-supervisor.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import {
  abnormal,
  killed,
  movedAway,
  type NurseryChild,
  normal,
  nursery,
  quietLog,
  settle,
  shutdown,
  statuses,
} from "../../support/nursery.ts";
import { soon } from "../../support/soon.ts";

interface Argument extends NurseryChild {
  readonly name: string;
}

async function dynamic(
  template: Partial<ChildTemplate<Argument>> = {},
  options: Partial<DynamicSupervisorOptions<Argument>> = {},
) {
  const n = nursery();
  const supervisor = await startDynamicSupervisor<Argument>({
    id: "dynamic",
    intensity: { maxRestarts: 2, periodMs: 3_600_000 },
    backoff: { initialMs: 100, maxMs: 1_000 },
    clock: { now: () => new Date(0), monotonicMs: () => n.timers.now() },
    log: quietLog,
    timers: n.timers,
    random: () => 0,
    ...options,
    template: {
      start: ({ name, ...child }, place) => n.spec(name, child).start(place),
      ...template,
    },
  });
  return { ...n, supervisor };
}

test("sup_start_child_returns_error_simple: whoever asked is told, and nothing stays", async () => {
  const { supervisor } = await dynamic();
  const broken = { name: "a", failsFrom: () => 1 };
  await expect(supervisor.startChild(broken)).rejects.toMatchObject({ code: "NO_START" });
  expect(supervisor.whichChildren()).toEqual([]);
  expect(supervisor.view().status).toBe("running");
  await supervisor.stop();
});

test("sup_start_map_simple: each child shows the template's spec, an unknown one none", async () => {
  const { supervisor } = await dynamic({ restart: "temporary" });
  for (const name of ["a", "b", "c"]) await supervisor.startChild({ name });
  for (const id of ["1", "2", "3"]) {
    expect(supervisor.childSpec(id)).toEqual({
      id,
      restart: "temporary",
      shutdown: 5_000,
      significant: false,
      type: "worker",
    });
  }
  expect(supervisor.childSpec("4")).toBeUndefined();
  await supervisor.stop();
});

test("child_specs: a dynamic supervisor refuses a faulty template, at its start and later", async () => {
  await expect(dynamic({ restart: "prmanent" as "permanent" })).rejects.toThrow(
    'Cannot use the specs of supervisor "dynamic": child "template": restart is "prmanent"',
  );
  const { supervisor } = await dynamic();
  expect(() => supervisor.changeTemplate({ start: "mfa" } as never)).toThrow(
    /has no start function/,
  );
  await supervisor.startChild({ name: "a" });
  expect(statuses(supervisor)).toEqual(["1 running"]);
  await supervisor.stop();
});

test("sup_stop_timeout_dynamic: who does not end in time is killed, the others end as asked", async () => {
  const { diary, pass, supervisor } = await dynamic({ shutdownMs: 1_000 });
  await supervisor.startChild({ name: "a" });
  await supervisor.startChild({ name: "b", deaf: true });
  diary();
  const stopped = supervisor.stop();
  await pass(999);
  expect(diary()).toEqual(["stop a", "stop b"]);
  expect(supervisor.view().status).toBe("stopping");
  await pass(1);
  await stopped;
  expect(diary()).toEqual(["kill b"]);
});

test.each(["temporary", "transient", "permanent"] as const)(
  "sup_stop_non_shutdown_exit_dynamic: %s children may end as they like while it stops",
  async (restart) => {
    const { diary, supervisor } = await dynamic({ restart });
    const words = [normal, shutdown, movedAway, abnormal("other")];
    for (const [at, lastWord] of words.entries()) {
      await supervisor.startChild({ name: `child${at}`, lastWord });
    }
    diary();
    await supervisor.stop();
    expect(diary()).toEqual(["stop child0", "stop child1", "stop child2", "stop child3"]);
    expect(await supervisor.exited).toEqual(normal);
  },
);

test("child_adm_simple: children go by their id; a second stop and a stranger's id find nobody", async () => {
  const { supervisor } = await dynamic();
  await supervisor.startChild({ name: "a" });
  await supervisor.startChild({ name: "b" });
  expect(supervisor.countChildren()).toEqual({ specs: 2, active: 2, supervisors: 0, workers: 2 });
  expect(() => supervisor.deleteChild("1")).toThrow(/it is running; stop it first/);
  await supervisor.stopChild("1");
  expect(statuses(supervisor)).toEqual(["2 running"]);
  for (const id of ["1", "a"]) {
    await expect(supervisor.stopChild(id)).rejects.toMatchObject({ code: "CHILD_UNKNOWN" });
  }
  expect(statuses(supervisor)).toEqual(["2 running"]);
  await supervisor.stop();
});

test.each(["worker", "supervisor"] as const)(
  "count_children of 2,000 that are each a %s",
  async (type) => {
    const { exit, supervisor } = await dynamic({ restart: "temporary", type });
    const names = Array.from({ length: 2_000 }, (_, at) => `child${at}`);
    const counted = (count: number) => ({
      specs: count,
      active: count,
      supervisors: type === "supervisor" ? count : 0,
      workers: type === "worker" ? count : 0,
    });
    await Promise.all(names.slice(0, 1_000).map((name) => supervisor.startChild({ name })));
    expect(supervisor.countChildren()).toEqual(counted(1_000));
    await Promise.all(names.slice(1_000).map((name) => supervisor.startChild({ name })));
    expect(supervisor.countChildren()).toEqual(counted(2_000));
    expect(supervisor.whichChildren()).toHaveLength(2_000);
    for (const name of names) void exit(name, killed);
    await settle();
    expect(supervisor.countChildren()).toEqual(counted(0));
    await supervisor.stop();
  },
  60_000,
);

test("count_restarting_children: who waits for a restart is counted, but is not active", async () => {
  const { exit, pass, supervisor } = await dynamic(
    {},
    { intensity: { maxRestarts: 100, periodMs: 3_600_000 } },
  );
  let failing = Number.POSITIVE_INFINITY;
  for (const name of ["a", "b", "c"]) {
    await supervisor.startChild({ name, failsFrom: () => failing });
  }
  failing = 2;
  await exit("a");
  await exit("b");
  await pass(100);
  expect(supervisor.countChildren()).toEqual({ specs: 3, active: 1, supervisors: 0, workers: 3 });
  failing = Number.POSITIVE_INFINITY;
  await pass(1_000);
  expect(supervisor.countChildren().active).toBe(3);
  for (const [id, left] of [
    ["3", 2],
    ["1", 1],
    ["2", 0],
  ] as const) {
    await supervisor.stopChild(id);
    expect(supervisor.countChildren()).toMatchObject({ specs: left, active: left, workers: left });
  }
  await supervisor.stop();
});

/** Whether something is still held, by the engine's own garbage collector. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("Cannot collect garbage: V8 gives no gc()");
  collect();
}

test("simple_one_for_one_corruption: what a temporary child was started with is let go while it runs", async () => {
  const { exit, supervisor } = await dynamic({ restart: "temporary" });
  await supervisor.startChild({ name: "first" });
  await exit("first", abnormal("died"));
  const held = await (async () => {
    const argument = { name: "second", big: new Uint8Array(50_000) };
    await supervisor.startChild(argument);
    return new WeakRef(argument);
  })();
  expect(statuses(supervisor)).toContain("2 running");
  await soon(() => {
    collectGarbage();
    return held.deref() === undefined;
  }).toBe(true);
  await supervisor.stop();
});

test.each(["any_significant", "all_significant"] as const)(
  "significant_simple: %s counts children of a dynamic supervisor",
  async (autoShutdown) => {
    const { exit, supervisor } = await dynamic(
      { restart: "temporary", significant: true },
      { autoShutdown },
    );
    await supervisor.startChild({ name: "a" });
    await supervisor.startChild({ name: "b" });
    await exit("a", normal);
    const isOver = autoShutdown === "any_significant";
    expect(supervisor.view().status).toBe(isOver ? "stopped" : "running");
    await exit("b", normal);
    expect(await supervisor.exited).toEqual<ChildExit>(shutdown);
  },
);
