import { expect, test } from "vitest";
import {
  durationBetween,
  formatDuration,
  formatKey,
  formatNumber,
  formatPercent,
} from "../../../http/dashboard/format.ts";
import { matchesFilter, taskKeyOf, toneOf } from "../../../http/dashboard/journal-filter.ts";
import { readPlace, writePlace } from "../../../http/dashboard/place.ts";
import { figuresOf, isPhaseReport } from "../../../http/dashboard/report-shape.ts";

test.each([
  [-5, "0 ms"],
  [740, "740 ms"],
  [3_249, "3.2 s"],
  [59_999, "59.9 s"],
  [245_000, "4 min 05 s"],
  [7_380_000, "2 h 03 min"],
  [435_600_000, "5 d 01 h"],
])("formatDuration(%i) is %s", (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test.each([
  [0, "0 %"],
  [0.9999, "99.9 %"],
  [1, "100 %"],
  [0.3888, "38.9 %"],
])("formatPercent(%d) is %s: only what is finished is 100", (fraction, text) => {
  expect(formatPercent(fraction)).toBe(text);
});

test("formatKey() turns names of fields into words", () => {
  expect(formatKey("spaceSaved")).toBe("Space saved");
  expect(formatKey("read_p95_ms")).toBe("Read p95 ms");
});

test("formatNumber() keeps the digits that matter", () => {
  expect(formatNumber(8_412.34)).toBe("8,412.3");
  expect(formatNumber(0.12345)).toBe("0.123");
});

test("durationBetween() goes on until now while there is no end", () => {
  const start = "2026-01-01T00:00:00.000Z";
  expect(durationBetween(start, null, Date.parse(start) + 5)).toBe(5);
  expect(durationBetween(start, "2026-01-01T00:00:01.000Z", 0)).toBe(1_000);
  expect(durationBetween(null, null, 0)).toBeUndefined();
});

const ENTRY = {
  seq: 1,
  type: "task.failed",
  at: "2026-01-01T00:00:00.000Z",
  actor: "DATABASE",
  payload: { task: "migration", code: "DISK_FULL" },
};

test.each([
  ["", true],
  ["failed database", true],
  ["disk_full", true],
  ["failed !migration", false],
  ["!director", true],
  ["succeeded", false],
  ["!", true],
])("matchesFilter() with %j is %j", (filter, expected) => {
  expect(matchesFilter(ENTRY, filter)).toBe(expected);
});

test("taskKeyOf() finds the task of an entry, and none in others", () => {
  expect(taskKeyOf(ENTRY)).toBe("migration");
  expect(taskKeyOf({ ...ENTRY, payload: ["migration"] })).toBeUndefined();
});

test("toneOf() tells by how the type ends", () => {
  expect(
    ["task.failed", "run.completed", "task.started", "run.paused", "task.ready"].map(toneOf),
  ).toEqual(["bad", "good", "run", "warn", "plain"]);
});

test("readPlace() reads what writePlace() writes", () => {
  const place = { workflow: "wf-1", task: "a b", view: "list", actor: "/root/a" } as const;
  expect(readPlace(writePlace(place).slice(1))).toEqual(place);
  expect(
    writePlace({ workflow: undefined, task: undefined, view: "graph", actor: undefined }),
  ).toBe("/");
  expect(readPlace("?view=nonsense").view).toBe("graph");
});

test("isPhaseReport() takes a report and refuses other JSON", () => {
  const report = {
    title: "Foundation",
    result: "accepted",
    archive: { rejectsByReason: {} },
    vote: { ballots: [] },
    criteria: [],
    tasks: [],
    findings: [],
  };
  expect(isPhaseReport(report)).toBe(true);
  for (const other of [null, [], {}, { ...report, vote: undefined }, { ...report, criteria: {} }]) {
    expect(isPhaseReport(other)).toBe(false);
  }
});

test("figuresOf() names nested scalars by their path and counts lists", () => {
  const figures = figuresOf({
    rows: 7,
    deep: { ok: true, deeper: { deepest: 1 } },
    list: [1, 2],
    none: null,
  });
  expect(figures).toEqual([
    ["rows", 7],
    ["deep.ok", "true"],
    ["list", "2 entries"],
  ]);
});
