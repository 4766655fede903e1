import { expect, test } from "vitest";
import {
  type PhaseReport,
  phaseReportSchema,
  renderReport,
} from "../../../../actors/agents/director/phase-report.ts";

const report: PhaseReport = phaseReportSchema.parse({
  phase: "phase1",
  title: "Foundation Enhancement",
  workflowId: "wf-1",
  generatedAt: "2026-01-02T03:04:05.000Z",
  result: "accepted_with_misses",
  archive: {
    source: "sqlite:/data/a`b|c.db",
    read: 6_046,
    migrated: 6_040,
    rejected: 6,
    rejectsByReason: { NO_DATE: 4, BAD_ENCODING: 2 },
  },
  criteria: [
    { name: "space saved", unit: "%", required: 65, measured: 71.25, met: true },
    { name: "read speed-up", unit: "x", required: 10, measured: null, met: false },
  ],
  vote: {
    id: "wf-1/review",
    outcome: "accepted",
    required: 2,
    ballots: [
      { voter: "DIRECTOR", approve: true, reason: "1 of 2 | criteria\nmet" },
      { voter: "SECURITY", approve: false, reason: "a hole" },
    ],
  },
  weeks: [{ week: "week1", missing: [] }],
  tasks: [
    {
      key: "database_migration_execution",
      attempt: 2,
      durationMs: 1_234.56,
      figures: { read: 6_046, rejects: { NO_DATE: 4, deeper: { hidden: 1 } }, list: [1, 2, 3] },
    },
    { key: "untimed", attempt: null, durationMs: null, figures: {} },
  ],
  findings: [{ source: "SECURITY", detail: "no TLS" }],
});

test("renderReport() says the result, each criterion and who voted how", () => {
  const markdown = renderReport(report);
  expect(markdown).toContain("Result: **accepted with misses**");
  expect(markdown).toContain("| space saved | 65 % | 71.3 % | met |");
  expect(markdown).toContain("| read speed-up | 10 x | not measured | **missed** |");
  expect(markdown).toContain("| SECURITY | against | a hole |");
  expect(markdown).toContain("6,046 records read");
});

test("renderReport() keeps a table whole whatever a cell holds", () => {
  expect(renderReport(report)).toContain("| DIRECTOR | for | 1 of 2 \\| criteria met |");
});

test("renderReport() shows a task's time, attempt and figures two levels deep", () => {
  const markdown = renderReport(report);
  expect(markdown).toContain("### database_migration_execution, 1,234.6 ms, attempt 2");
  expect(markdown).toContain("- rejects.NO_DATE: 4");
  expect(markdown).toContain("- list: 3 entries");
  expect(markdown).not.toContain("hidden");
  expect(markdown).toContain("### untimed\n");
});

test("renderReport() shows a small rate as it is, not as 0", () => {
  const tasks = [
    { key: "rates", attempt: 1, durationMs: 1, figures: { rate: 0.000_012_34, none: 0 } },
  ];
  const markdown = renderReport({ ...report, tasks });
  expect(markdown).toContain("- rate: 0.0000123\n- none: 0");
});

test("renderReport() leaves out sections that have nothing to tell", () => {
  const markdown = renderReport({ ...report, findings: [], weeks: [] });
  expect(markdown).not.toContain("## Findings");
  expect(markdown).not.toContain("## Weeks");
});

test("renderReport() says how many figures it leaves to the JSON report", () => {
  const figures = Object.fromEntries(
    Array.from({ length: 20 }, (_, index) => [`f${index}`, index]),
  );
  const markdown = renderReport({
    ...report,
    tasks: [{ key: "many", attempt: 1, durationMs: 1, figures }],
  });
  expect(markdown).toContain("- … 6 more in the JSON report");
  expect(markdown).toContain("### many, 1 ms\n");
});
