import { expect, test } from "vitest";
import {
  addJournal,
  applyFrame,
  EMPTY_MODEL,
  MAX_JOURNAL,
  type Model,
  spokenSummary,
  stageProgress,
  taskFraction,
} from "../../../http/dashboard/model.ts";
import { eventFrame, stateFrame } from "../../../http/live/frames.ts";
import type { LiveBody, TaskView } from "../../../runtime/system.ts";
import { agentOf, taskOf, workflowOf } from "../live/live-events.ts";

const PLACE = { epoch: "e", seq: 1 };

function withEvent(model: Model, body: LiveBody): Model {
  const event = { seq: 2, topics: ["events"], at: "2026-01-01T00:00:00.000Z", body };
  return applyFrame(model, eventFrame("e", { event, conflated: 0 }), "wf", 0);
}

function withRun(tasks: readonly TaskView[]): Model {
  const graph = {
    stages: [{ name: "week1", title: "Week 1", tasks: tasks.map((task) => task.key) }],
    nodes: [],
    edges: [],
  };
  const state = { workflows: { wf: { workflow: workflowOf("wf"), tasks, graph } } };
  return applyFrame(EMPTY_MODEL, stateFrame(PLACE, [], state), "wf", 0);
}

function entry(seq: number) {
  return {
    seq,
    type: "task.started",
    at: "2026-01-01T00:00:00.000Z",
    actor: "engine",
    payload: {},
  };
}

test("applyFrame() takes a run from a snapshot and its changes from events", () => {
  const model = withEvent(withRun([taskOf("a")]), {
    type: "task",
    workflowId: "wf",
    task: { ...taskOf("a"), status: "succeeded" },
  });
  expect(model.run?.tasks.get("a")?.status).toBe("succeeded");
});

test("applyFrame() leaves the run alone when the event is of another run", () => {
  const before = withRun([taskOf("a")]);
  const body = {
    type: "task",
    workflowId: "other",
    task: { ...taskOf("a"), status: "failed" },
  } as const;
  expect(withEvent(before, body)).toBe(before);
  const journal = { type: "journal", workflowId: "other", entry: entry(1) } as const;
  expect(withEvent(before, journal)).toBe(before);
});

test("applyFrame() knows that a run does not exist", () => {
  const frame = stateFrame(PLACE, [], { workflows: { wf: null } });
  expect(applyFrame(EMPTY_MODEL, frame, "wf", 0).run).toBeNull();
});

test("applyFrame() keeps workflows newest first", () => {
  const older = { ...workflowOf("old"), createdAt: "2025-01-01T00:00:00.000Z" };
  const model = [workflowOf("new"), older].reduce<Model>(
    (next, workflow) => withEvent(next, { type: "workflow", workflow }),
    EMPTY_MODEL,
  );
  expect([...model.workflows.keys()]).toEqual(["new", "old"]);
});

test("applyFrame() replaces all that it knew when a resync comes", () => {
  const before = withEvent(withRun([taskOf("a"), taskOf("b")]), {
    type: "agent",
    agent: agentOf("A"),
  });
  const state = {
    workflows: { wf: { workflow: workflowOf("wf"), tasks: [taskOf("a")], graph: null } },
  };
  const after = applyFrame(before, stateFrame(PLACE, [], state, "overflow"), "wf", 0);
  expect([...(after.run?.tasks.keys() ?? [])]).toEqual(["a"]);
});

test("addJournal() holds each entry once, in order, and the newest when there are too many", () => {
  const model = addJournal(addJournal(EMPTY_MODEL, [entry(2), entry(3)]), [entry(1), entry(2)]);
  expect(model.journal.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  const many = Array.from({ length: MAX_JOURNAL + 5 }, (_, index) => entry(index + 1));
  const full = addJournal(EMPTY_MODEL, many);
  expect(full.journal).toHaveLength(MAX_JOURNAL);
  expect(addJournal(full, [entry(MAX_JOURNAL + 6)]).journal.at(0)?.seq).toBe(7);
});

test.each([
  [{ percent: 40 }, 0.4],
  [{ percent: 140 }, 1],
  [{ done: 1, total: 4 }, 0.25],
  [{ done: 1, total: 0 }, undefined],
  [{ message: "reading" }, undefined],
])("taskFraction() reads %j as %j", (progress, expected) => {
  expect(taskFraction({ ...taskOf("a"), progress })).toBe(expected);
});

test("stageProgress() counts running tasks by their own progress", () => {
  const model = withRun([
    { ...taskOf("a"), status: "succeeded" },
    { ...taskOf("b"), status: "running", progress: { percent: 50 } },
    { ...taskOf("c"), status: "failed" },
    { ...taskOf("d"), status: "blocked" },
  ]);
  expect(stageProgress(model.run!)).toEqual([
    { name: "week1", title: "Week 1", total: 4, done: 1, running: 1, failed: 1, progress: 0.375 },
  ]);
});

test("spokenSummary() says how far the run is in one sentence", () => {
  const run = withRun([taskOf("a")]).run!;
  expect(spokenSummary(run)).toBe("Phase 1 is running: 0 of 1 tasks done, 0 running.");
});
