/** @module Tests of the closing words of a run. */

import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  exitCodeOf,
  reportFiles,
  reportLines,
  summaryLines,
} from "../../../runtime/cli/summary.ts";
import { createRun, createTask, createWorkflow, START } from "./run-fixture.ts";

test("summaryLines() says what came out, how long it took, why it failed and where the report is", () => {
  const error = {
    name: "AgentError",
    code: "DISK_FULL",
    message: "Cannot write: full",
    retryable: false,
  };
  const finishedAt = "2026-01-02T03:05:13.000Z";
  const run = createRun(
    [
      createTask("plan", { status: "succeeded", startedAt: START, finishedAt }),
      createTask("migrate", { status: "failed", error }),
    ],
    createWorkflow({ status: "failed", finishedAt }),
  );
  expect(summaryLines(run, undefined, ["/data/reports/a.md"])).toEqual([
    "",
    "Phase 1: Foundation Enhancement: failed in 1:13, 1 of 4 tasks done",
    "  Week 1: 1 of 2 tasks in 1:13",
    "  Week 2: 0 of 0 tasks",
    "  migrate failed: Cannot write: full (DISK_FULL)",
    "  report: /data/reports/a.md",
  ]);
});

test("reportLines() judges each criterion by its figure", () => {
  const report = {
    archive: { read: 6_046, migrated: 6_040, rejected: 6 },
    criteria: [
      { name: "space_saved", unit: "percent", required: 65, measured: 70.36, met: true },
      { name: "accuracy", unit: "percent", required: 99.5, measured: null, met: false },
    ],
  };
  expect(reportLines(report)).toEqual([
    "  6,046 records read: 6,040 migrated, 6 rejected",
    "  space saved: 70.4 percent, required 65: met",
    "  accuracy: not measured, required 99.5: NOT MET",
  ]);
  expect(reportLines({ other: true })).toEqual([]);
});

test("reportLines() gives the result and the vote, with the reasons of those against", () => {
  const vote = {
    outcome: "rejected",
    required: 2,
    ballots: [
      { voter: "TESTBED", approve: true, reason: "all there" },
      { voter: "DIRECTOR", approve: false, reason: "speedup is\nmissed" },
      { voter: "SECURITY", approve: false, reason: "\u001b[2Jopen" },
    ],
  };
  expect(reportLines({ result: "rejected_by_vote", vote })).toEqual([
    "  result: rejected by vote",
    "  vote: rejected, 1 for and 2 against, 2 must agree",
    "    DIRECTOR is against: speedup is missed",
    "    SECURITY is against: open",
  ]);
});

test("exitCodeOf() is 1 for a run that did not complete and for a phase that the vote rejected", () => {
  const codes = ["accepted", "accepted_with_misses", "rejected_by_vote"].map((result) =>
    exitCodeOf("completed", { result }),
  );
  expect(codes).toEqual([0, 0, 1]);
  expect(exitCodeOf("completed", undefined)).toBe(0);
  expect(exitCodeOf("failed", { result: "accepted" })).toBe(1);
  expect(exitCodeOf("parked", undefined)).toBe(1);
});

test("reportFiles() names what was written since the run began", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "spectra-reports-"));
  expect(reportFiles(dataDir, new Date(0))).toEqual([]);
  mkdirSync(join(dataDir, "reports"));
  for (const name of ["old.md", "new.md"]) writeFileSync(join(dataDir, "reports", name), "");
  utimesSync(join(dataDir, "reports", "old.md"), new Date(0), new Date(0));
  expect(reportFiles(dataDir, new Date(1_000))).toEqual([join(dataDir, "reports", "new.md")]);
  rmSync(dataDir, { recursive: true });
});
