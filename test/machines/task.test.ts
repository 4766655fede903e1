import { describe, expect, test } from "vitest";
import { createActor } from "xstate";
import { getShortestPaths } from "xstate/graph";
import {
  isInFlight,
  isOpen,
  isSatisfied,
  nextTask,
  type TaskEvent,
  type TaskSnapshot,
  type TaskStatus,
  taskMachine,
} from "../../machines/task.ts";

const current = 2;
/** Every event; those with an attempt also in a stale and a future form. */
const events = {
  unblock: { type: "unblock" },
  dispatch: { type: "dispatch" },
  start: { type: "start", attempt: current },
  succeed: { type: "succeed", attempt: current },
  "fail, may repeat": { type: "fail", attempt: current, mayRepeat: true },
  "fail, may not repeat": { type: "fail", attempt: current, mayRepeat: false },
  "fail, died": { type: "fail", attempt: current, mayRepeat: true, died: true },
  lose: { type: "lose", attempt: current },
  due: { type: "due", attempt: current },
  cancel: { type: "cancel" },
  skip: { type: "skip" },
  reset: { type: "reset" },
  open: { type: "open" },
  park: { type: "park" },
  repeat: { type: "repeat" },
  "settle well": { type: "settle", as: "succeeded" },
  "settle badly": { type: "settle", as: "failed" },
  undo: { type: "undo" },
  undone: { type: "undone", attempt: current },
} as const satisfies Record<string, TaskEvent>;
type EventName = keyof typeof events;

/** The whole statechart; what is not here must change nothing. */
const table: Record<TaskStatus, Partial<Record<EventName, TaskStatus>>> = {
  blocked: { unblock: "ready", cancel: "cancelled", skip: "skipped" },
  ready: {
    dispatch: "dispatched",
    open: "running",
    "fail, may repeat": "failed",
    "fail, may not repeat": "failed",
    "fail, died": "failed",
    cancel: "cancelled",
    skip: "skipped",
  },
  dispatched: {
    start: "running",
    succeed: "succeeded",
    "fail, may repeat": "retrying",
    "fail, died": "retrying",
    "fail, may not repeat": "failed",
    lose: "ready",
    park: "parked",
    cancel: "cancelled",
    skip: "skipped",
  },
  running: {
    succeed: "succeeded",
    "fail, may repeat": "retrying",
    "fail, died": "retrying",
    "fail, may not repeat": "failed",
    lose: "ready",
    park: "parked",
    cancel: "cancelled",
    skip: "skipped",
  },
  retrying: {
    due: "ready",
    "fail, may repeat": "failed",
    "fail, may not repeat": "failed",
    "fail, died": "failed",
    cancel: "cancelled",
    skip: "skipped",
    park: "parked",
  },
  failed: { reset: "blocked", skip: "skipped", park: "parked", undo: "compensating" },
  cancelled: { reset: "blocked", undo: "compensating", park: "parked" },
  succeeded: { undo: "compensating" },
  parked: {
    repeat: "ready",
    "settle well": "succeeded",
    "settle badly": "failed",
    skip: "skipped",
    cancel: "cancelled",
    undone: "compensated",
    undo: "compensating",
  },
  compensating: {
    cancel: "cancelled",
    undone: "compensated",
    undo: "compensating",
    "fail, may repeat": "compensating",
    "fail, may not repeat": "compensating",
    "fail, died": "compensating",
    park: "parked",
  },
  compensated: { reset: "blocked" },
  skipped: {},
};
const statuses = Object.keys(table) as TaskStatus[];
const names = Object.keys(events) as EventName[];

function taskIn(status: TaskStatus): TaskSnapshot {
  return { status, attempt: current, failures: 1, deaths: 1 };
}

const cases = statuses.flatMap((from) =>
  names.map((name) => [from, name, table[from][name]] as const),
);

describe("nextTask()", () => {
  test.each(cases)("%s + %s -> %s", (from, name, to) => {
    const before = taskIn(from);
    const after = nextTask(before, events[name]);
    if (to === undefined) {
      expect(after).toBe(before);
      return;
    }
    const begins = ["dispatch", "open", "undo"].includes(name);
    // An undoing that is tried again remembers how often it failed.
    const forgets =
      ["reset", "repeat"].includes(name) || (name === "undo" && from !== "compensating");
    // What can only still time out fails without having been tried.
    const counts = name.startsWith("fail") && from !== "retrying";
    expect(after).toEqual({
      status: to,
      attempt: begins ? current + 1 : current,
      failures: forgets ? 0 : counts ? 2 : 1,
      deaths: forgets ? 0 : counts && name.includes("died") ? 2 : 1,
    });
  });

  const carriers = names.filter((name) => "attempt" in events[name]);
  const strangers = statuses.flatMap((from) =>
    carriers.flatMap((name) =>
      [current - 1, current + 1].map((attempt) => [from, name, attempt] as const),
    ),
  );
  test.each(strangers)("%s ignores %s of attempt %i", (from, name, attempt) => {
    const before = taskIn(from);
    expect(nextTask(before, { ...events[name], attempt } as TaskEvent)).toBe(before);
  });

  test("every attempt has a new number, also after a loss and after a reset", () => {
    let task: TaskSnapshot = { status: "blocked", attempt: 0, failures: 0, deaths: 0 };
    const walk: TaskEvent[] = [
      { type: "unblock" },
      { type: "dispatch" },
      { type: "lose", attempt: 1 },
      { type: "dispatch" },
      { type: "start", attempt: 2 },
      { type: "fail", attempt: 2, mayRepeat: true },
      { type: "due", attempt: 2 },
      { type: "dispatch" },
      { type: "fail", attempt: 3, mayRepeat: false },
      { type: "reset" },
      { type: "unblock" },
      { type: "dispatch" },
    ];
    for (const event of walk) task = nextTask(task, event);
    expect(task).toEqual({ status: "dispatched", attempt: 4, failures: 0, deaths: 0 });
  });
});

describe("taskMachine", () => {
  test("every state can be reached from a new task, and the table names them all", () => {
    // Bounded: attempts and failures would grow for ever.
    const paths = getShortestPaths(taskMachine, {
      events: Object.values(events).map((event) =>
        "attempt" in event ? { ...event, attempt: 1 } : event,
      ),
      input: {},
      serializeState: ({ value }) => JSON.stringify(value),
      limit: 1_000,
    });
    expect(new Set(paths.map(({ state }) => state.value))).toEqual(new Set(statuses));
  });

  test("a new task is blocked, with no attempt and no failure", () => {
    const snapshot = createActor(taskMachine, { input: {} }).getSnapshot();
    expect(snapshot).toMatchObject({
      value: "blocked",
      context: { attempt: 0, failures: 0, deaths: 0 },
    });
  });
});

test("each status is open, done well or done badly, and only the first may be in flight", () => {
  const kinds = statuses.map((status) => [
    status,
    isOpen(status),
    isInFlight(status),
    isSatisfied(status),
  ]);
  expect(kinds).toEqual([
    ["blocked", true, false, false],
    ["ready", true, false, false],
    ["dispatched", true, true, false],
    ["running", true, true, false],
    ["retrying", true, false, false],
    ["failed", false, false, false],
    ["cancelled", false, false, false],
    ["succeeded", false, false, true],
    ["parked", true, false, false],
    ["compensating", true, false, false],
    ["compensated", false, false, false],
    ["skipped", false, false, true],
  ]);
});
