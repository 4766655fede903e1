import { AssertionError } from "node:assert";
import { beforeAll, describe, expect, test } from "vitest";
import { defineWorkflow } from "../../../actors/define-workflow.ts";
import { durationMs } from "../../../runtime/testing/duration.ts";
import {
  assertCompleted,
  assertJournal,
  assertNotInJournal,
  assertTask,
  createWorkflowTest,
  type WorkflowTest,
} from "../../../runtime/testing/index.ts";

let run: WorkflowTest;

beforeAll(async () => {
  const definition = defineWorkflow({
    id: "two",
    tasks: { a: { do: "A.go" }, b: { approval: { title: "?" }, after: ["a"] } },
  });
  run = createWorkflowTest(definition, { agents: { A: { go: () => ({ n: 1 }) } } });
  await run.runUntilIdle();
});

function thrownBy(work: () => void): AssertionError {
  try {
    work();
  } catch (error) {
    if (error instanceof AssertionError) return error;
    throw error;
  }
  throw new Error("it threw nothing");
}

describe("assertJournal()", () => {
  test("finds entries in their order, with others between them", () => {
    assertJournal(run, [
      "run.started",
      "stage.entered main",
      { type: "task.succeeded", task: "a", attempt: 1 },
      "task.waiting b",
    ]);
  });

  test("says which entry is missing, after which, and what is there", () => {
    const late = thrownBy(() => assertJournal(run, ["task.succeeded a", "task.started a"]));
    expect(late.message).toMatch(/The journal has no "task.started a" after entry 6:/);
    expect(late.message).toContain('> 6 task.succeeded {"task":"a","attempt":1}');
    const field = thrownBy(() => assertJournal(run, [{ type: "task.waiting", for: "time" }]));
    expect(field.message).toMatch(/no \{"type":"task.waiting","for":"time"\}/);
  });

  test("assertNotInJournal() finds what must not be there", () => {
    assertNotInJournal(run, "task.failed");
    expect(thrownBy(() => assertNotInJournal(run, "task.succeeded a")).message).toContain(
      'The journal has "task.succeeded a", as entry 6',
    );
  });
});

test("assertTask() names each field that differs", () => {
  assertTask(run, "a", { status: "succeeded", output: { n: 1 }, error: null });
  const error = thrownBy(() => assertTask(run, "a", { status: "failed", attempt: 2 }));
  expect(error.message).toContain('status: "succeeded", expected "failed"');
  expect(error.message).toContain("attempt: 1, expected 2");
});

test("assertCompleted() says what is open", () => {
  const error = thrownBy(() => assertCompleted(run));
  expect(error.message).toBe("The run is running, not completed\n  b is running");
});

test("durations are milliseconds, or numbers with units", () => {
  expect(["1y", "1w", "2h 30m", "1.5s", "250ms", 7].map(durationMs)).toEqual([
    31_536_000_000, 604_800_000, 9_000_000, 1_500, 250, 7,
  ]);
  for (const wrong of ["", "1", "-1s", "1 month", -5, Number.NaN]) {
    expect(() => durationMs(wrong)).toThrow(/Cannot read the duration/);
  }
});
