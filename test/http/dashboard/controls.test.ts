import { expect, test } from "vitest";
import { requestOf, runControls, taskControls } from "../../../http/dashboard/controls.ts";
import { taskStatus, workflowStatus } from "../../../http/schemas.ts";
import { type CommandScope, refusalOf } from "../../../machines/run/command.ts";
import type { RunEvent } from "../../../machines/run/state.ts";

const STATUSES = workflowStatus.options;

/** The engine's own judgement about an event, for a run and a task in these states. */
function isRefused(event: object, status: string, task = "ready"): boolean {
  const scope = {
    plan: { tasks: new Map([["a", { kind: "action" }]]) },
    run: () => ({ id: "run", status }),
    task: (key: string) => ({ key, plan: key, status: task }),
  } as unknown as CommandScope;
  return refusalOf({ atMs: 0, reason: null, ...event } as unknown as RunEvent, scope) !== null;
}

test("a run gets the buttons that the engine takes, and no other", () => {
  for (const status of STATUSES.filter((one) => one !== "parked")) {
    const all = ["pause", "resume", "cancel", "retry"] as const;
    const taken = all.filter((name) => !isRefused({ type: `run.${name}`, taskKey: null }, status));
    expect(runControls({ status }), status).toEqual(taken);
  }
});

test("a parked run takes a retry alone, an archived one nothing", () => {
  expect(runControls({ status: "parked" })).toEqual(["retry"]);
  expect(runControls({ status: "failed", archivedAt: "2026-01-01T00:00:00.000Z" })).toEqual([]);
});

test("no task gets a button that the engine refuses", () => {
  const eventOf = {
    retry: { type: "run.retry", taskKey: "a" },
    "run-now": { type: "task.run-now", taskKey: "a" },
    skip: { type: "task.skip", taskKey: "a" },
    repeat: { type: "task.resolve", taskKey: "a", as: "retry" },
    succeeded: { type: "task.resolve", taskKey: "a", as: "succeeded" },
    failed: { type: "task.resolve", taskKey: "a", as: "failed" },
  };
  let offered = 0;
  for (const status of STATUSES) {
    for (const task of taskStatus.options) {
      for (const control of taskControls({ status }, task)) {
        offered += 1;
        expect(isRefused(eventOf[control], status, task), `${control} ${status} ${task}`).toBe(
          false,
        );
      }
    }
  }
  expect(offered).toBeGreaterThan(20);
});

test("a parked task is decided about; while the run is rolled back it cannot be skipped", () => {
  const running = { status: "running" } as const;
  expect(taskControls(running, "parked")).toEqual(["repeat", "succeeded", "failed", "skip"]);
  expect(taskControls(running, "parked", true)).toEqual(["repeat", "succeeded", "failed"]);
  expect(taskControls(running, "ready", true)).toEqual([]);
  expect(taskControls({ status: "failed" }, "cancelled")).toEqual(["retry"]);
});

test("requestOf() names the task of a list's item in its path, and leaves out an output that is not given", () => {
  expect(requestOf("skip", "send[3]")).toEqual({ path: "tasks/send%5B3%5D/skip", body: {} });
  expect(requestOf("succeeded", "a")).toEqual({
    path: "tasks/a/resolve",
    body: { as: "succeeded" },
  });
  expect(requestOf("succeeded", "a", null).body).toEqual({ as: "succeeded", output: null });
  expect(requestOf("retry", "a")).toEqual({ path: "retry", body: { task: "a" } });
});
