/** @module Tests of the lines for pipes, and of how figures are written. */

import { describe, expect, test } from "vitest";
import { bytesText, durationText, figureText } from "../../../runtime/cli/figures.ts";
import { taskLineOf } from "../../../runtime/cli/plain-view.ts";
import { createTask } from "./run-fixture.ts";

describe("taskLineOf()", () => {
  const running = createTask("migrate", { status: "running", attempt: 1 });

  test("gives one line for a start", () => {
    expect(taskLineOf(createTask("migrate"), running)).toBe(
      "start migrate (DATABASE.execute_schema_migration)",
    );
  });

  test("gives time and figures at the end", () => {
    const done = createTask("migrate", {
      status: "succeeded",
      attempt: 1,
      startedAt: "2026-01-02T03:04:00.000Z",
      finishedAt: "2026-01-02T03:04:12.340Z",
      output: {
        readMessages: 6_046,
        messagesPerSecond: 5_210,
        sizeBytes: 32_500_000,
        verified: true,
      },
    });
    expect(taskLineOf(running, done)).toBe(
      "done migrate (DATABASE.execute_schema_migration) · 12.3 s · " +
        "read messages 6,046 · messages 5,210/s · size 32.5 MB · verified yes",
    );
  });

  test("names the error of a failure, on one line and without escape codes", () => {
    const error = {
      name: "E",
      code: "ARCHIVE_NOT_FOUND",
      message: "Cannot\n\u001b[2Jread",
      retryable: false,
    };
    expect(
      taskLineOf(running, createTask("migrate", { status: "failed", attempt: 2, error })),
    ).toBe(
      "FAILED migrate (DATABASE.execute_schema_migration) · attempt 2 · ARCHIVE_NOT_FOUND: Cannot read",
    );
  });

  test("gives nothing for progress alone", () => {
    expect(taskLineOf(running, { ...running, progress: { percent: 3 } })).toBeUndefined();
  });
});

describe("figures", () => {
  test("durationText() chooses the unit", () => {
    expect([850, 12_340, 59_999, 245_000, 3_723_000].map(durationText)).toEqual([
      "850 ms",
      "12.3 s",
      "59.9 s",
      "4:05",
      "1:02:03",
    ]);
  });
  test("bytesText() is decimal", () => {
    expect([0, 999, 32_500_000].map(bytesText)).toEqual(["0 B", "999 B", "32.5 MB"]);
  });
  test("figureText() reads the unit from the name", () => {
    expect(figureText("p95Ms", 3.2)).toBe("p95 3 ms");
    expect(figureText("savedShare", 0.7123)).toBe("saved share 0.712");
  });
});
