import { expect, test } from "vitest";
import { SimulatedClock } from "xstate";
import type { ChildSpec, RunningChild } from "../../../actors/tree/child-spec.ts";
import { type SupervisorOptions, startSupervisor } from "../../../actors/tree/supervisor.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import { createDeferred } from "../../../machines/deferred.ts";
import { toErrorRecord } from "../../../machines/error-code.ts";

const quiet = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Children that live until they are crashed or stopped, and a diary of what happened to them. */
function nursery() {
  const diary: string[] = [];
  const live = new Map<string, (exit: ChildExit) => void>();
  const timers = new SimulatedClock();
  const child = (id: string, options: Partial<ChildSpec> & { deaf?: boolean } = {}): ChildSpec => ({
    id,
    start: async (): Promise<RunningChild> => {
      diary.push(`start ${id}`);
      const exited = createDeferred<ChildExit>();
      live.set(id, exited.resolve);
      return {
        exited: exited.promise,
        stop: async () => {
          diary.push(`stop ${id}`);
          if (options.deaf !== true) exited.resolve({ type: "normal" });
          await exited.promise;
        },
        kill: async () => {
          diary.push(`kill ${id}`);
          exited.resolve({ type: "abnormal", error: toErrorRecord(new Error("killed")) });
        },
      };
    },
    ...options,
  });
  const start = (children: readonly ChildSpec[], options: Partial<SupervisorOptions> = {}) =>
    startSupervisor({
      id: "root",
      strategy: "one_for_one",
      intensity: { maxRestarts: 1, periodMs: 1_000 },
      backoff: { initialMs: 100, maxMs: 1_000 },
      children,
      clock: { now: () => new Date(0), monotonicMs: () => timers.now() },
      log: quiet,
      timers,
      random: () => 0,
      ...options,
    });
  return {
    child,
    start,
    timers,
    /** What happened since the last call. */
    diary: () => diary.splice(0),
    crash: (id: string) =>
      live.get(id)?.({ type: "abnormal", error: toErrorRecord(new Error(`${id} crashed`)) }),
  };
}

/** Lets promises settle: a crash reaches the supervisor over a few of them. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("startSupervisor() starts in order and stops in reverse", async () => {
  const { child, start, diary } = nursery();
  const supervisor = await start([child("a"), child("b")]);
  await supervisor.stop();
  expect(diary()).toEqual(["start a", "start b", "stop b", "stop a"]);
  expect(await supervisor.exited).toEqual({ type: "normal" });
});

test("startSupervisor() restarts a crashed child, first at once and then after its backoff, and shows it in its view", async () => {
  const { child, start, diary, crash, timers } = nursery();
  const intensity = { maxRestarts: 2, periodMs: 1_000 };
  const supervisor = await start([child("a"), child("b")], { intensity });
  diary();
  crash("a");
  await settle();
  timers.increment(0);
  await settle();
  expect(diary()).toEqual(["start a"]);
  crash("a");
  await settle();
  expect(supervisor.view().children[0]).toMatchObject({ id: "a", status: "backoff", restarts: 2 });
  timers.increment(99);
  expect(diary()).toEqual([]);
  timers.increment(1);
  await settle();
  expect(diary()).toEqual(["start a"]);
  expect(supervisor.view()).toMatchObject({
    id: "root",
    address: "/root",
    kind: "supervisor",
    strategy: "one_for_one",
    intensity,
    status: "running",
    restarts: 2,
    lastError: null,
  });
  expect(supervisor.view().children).toMatchObject([
    { address: "/root/a", restart: "permanent", restarts: 2, lastError: { message: "a crashed" } },
    { address: "/root/b", kind: "worker", status: "running", restarts: 0, lastError: null },
  ]);
  await supervisor.stop();
});

test("startSupervisor() escalates: the parent restarts the whole subtree", async () => {
  const { child, start, diary, crash, timers } = nursery();
  const parent = await start([
    child("first"),
    { id: "inner", type: "supervisor", start: () => start([child("x"), child("y")]) },
  ]);
  crash("x");
  await settle();
  timers.increment(100);
  await settle();
  diary();
  crash("x");
  await settle();
  expect(diary()).toEqual(["stop y"]);
  expect(parent.view().children[1]).toMatchObject({ id: "inner", status: "backoff" });
  timers.increment(100);
  await settle();
  expect(diary()).toEqual(["start x", "start y"]);
  expect(parent.view().children[1]).toMatchObject({ status: "running", restarts: 1 });
  expect(parent.view().children[1]?.children).toHaveLength(2);
  await parent.stop();
});

test("startSupervisor() kills a child that does not stop within its shutdown time", async () => {
  const { child, start, diary, timers } = nursery();
  const supervisor = await start([child("deaf", { deaf: true, shutdownMs: 200 })]);
  const stopped = supervisor.stop();
  timers.increment(199);
  await settle();
  expect(diary()).toEqual(["start deaf", "stop deaf"]);
  timers.increment(1);
  await stopped;
  expect(diary()).toEqual(["kill deaf"]);
});

test("startSupervisor() rejects when a child cannot start, after stopping the earlier ones", async () => {
  const { child, start, diary } = nursery();
  const broken = child("b", { start: () => Promise.reject(new Error("no port")) });
  await expect(start([child("a"), broken, child("c")])).rejects.toMatchObject({
    code: "RESTART_INTENSITY",
    message: 'Cannot keep "b" running: no port',
  });
  expect(diary()).toEqual(["start a", "stop a"]);
});

test("stopChild() and restartChild() end and bring back one child", async () => {
  const { child, start, diary } = nursery();
  const supervisor = await start([child("a"), child("b")]);
  diary();
  await supervisor.stopChild("a");
  expect(supervisor.view().children[0]?.status).toBe("ended");
  supervisor.restartChild("a");
  await settle();
  expect(diary()).toEqual(["stop a", "start a"]);
  await supervisor.stop();
});
