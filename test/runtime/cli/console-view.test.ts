/** @module Tests of the live view: what its lines say, and that they always fit. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cellsOf } from "../../../runtime/cli/console-text.ts";
import { renderView, type ViewOptions } from "../../../runtime/cli/console-view.ts";
import { createRun, createTask, createWorkflow, START } from "./run-fixture.ts";

const options: ViewOptions = {
  columns: 80,
  rows: 24,
  colour: false,
  url: "http://127.0.0.1:5000",
  now: new Date(Date.parse(START) + 75_000),
};

const tasks = [
  createTask("plan", { status: "succeeded" }),
  createTask("migrate", {
    title: "Migrate messages",
    status: "running",
    attempt: 2,
    startedAt: "2026-01-02T03:05:02.700Z",
    progress: { percent: 50, done: 3_023, total: 6_046, message: "5,210 rows/s" },
  }),
  createTask("compress", { stage: "week2" }),
  createTask("verify", { stage: "week2" }),
];

describe("renderView()", () => {
  test("shows a bar per stage and per running task, counts, health and the page", () => {
    expect(renderView(createRun(tasks), options)).toEqual([
      "Phase 1: Foundation Enhancement running                         1/4 tasks  1:15",
      "",
      "Week 1                             ████████████████████████▊░░░░░░░░  75 %  1/2",
      "Week 2                             ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░   0 %  0/2",
      "",
      "  Migrate messages (attempt 2)     █████▌░░░░░  50 % 3,023/6,046 5,210 … 12.3 s",
      "",
      "1/2 agents healthy · 1 running, 2 waiting, 0 failed",
      "http://127.0.0.1:5000 · Ctrl-C stops",
    ]);
  });

  test("says why a task failed", () => {
    const error = {
      name: "AgentError",
      code: "X",
      retryable: false,
      message: "Cannot migrate: no",
    };
    const failed = createTask("migrate", { title: "Migrate", status: "failed", error });
    const lines = renderView(createRun([failed], createWorkflow({ status: "failed" })), options);
    expect(lines).toContain("  ✗ Migrate: Cannot migrate: no");
  });

  test("uses colours only when allowed", () => {
    const escape = "\u001b[";
    expect(renderView(createRun(tasks), { ...options, colour: true }).join("")).toContain(escape);
    expect(renderView(createRun(tasks), options).join("")).not.toContain(escape);
  });

  test("fits every terminal from 41 columns and never lets a message move the cursor", () => {
    const running = (title: string, message: string, index: number) =>
      createTask(`task${index}`, {
        title,
        status: "running",
        startedAt: START,
        progress: { message },
      });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" })), {
          maxLength: 40,
        }),
        fc.integer({ min: 41, max: 200 }),
        fc.integer({ min: 10, max: 60 }),
        (texts, columns, rows) => {
          const run = createRun(
            texts.map(([title, message], index) => running(title, message, index)),
          );
          const lines = renderView(run, { ...options, columns, rows });
          expect(lines.length).toBeLessThan(rows);
          for (const line of lines) {
            expect(cellsOf(line)).toBeLessThan(columns);
            expect(line).not.toMatch(/\p{Cc}/u);
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});
