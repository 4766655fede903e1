import { describe, expect, test } from "vitest";
import type { ScheduleSpec } from "../../../machines/schedule-spec.ts";
import { timesOf } from "../../../runtime/schedules/times.ts";

function timesAfter(spec: Omit<ScheduleSpec, "workflow">, after: string, count: number): string[] {
  const next = timesOf({ workflow: "w", ...spec });
  const times: string[] = [];
  let atMs: number | null = Date.parse(after);
  while (times.length < count) {
    atMs = next(atMs);
    if (atMs === null) return times;
    times.push(new Date(atMs).toISOString().replace(":00.000Z", "Z"));
  }
  return times;
}

describe("timesOf", () => {
  test("a plain time that is skipped in spring comes once, right after the gap", () => {
    const berlin = { cron: ["30 2 * * *"], timeZone: "Europe/Berlin" };
    expect(timesAfter(berlin, "2026-03-27T12:00:00Z", 3)).toEqual([
      "2026-03-28T01:30Z",
      "2026-03-29T01:00Z",
      "2026-03-30T00:30Z",
    ]);
    const newYork = { cron: ["30 2 * * *"], timeZone: "America/New_York" };
    expect(timesAfter(newYork, "2026-03-07T12:00:00Z", 2)).toEqual([
      "2026-03-08T07:00Z",
      "2026-03-09T06:30Z",
    ]);
  });

  test("a plain time that comes twice in autumn counts once, the first time", () => {
    const berlin = { cron: ["30 2 * * *"], timeZone: "Europe/Berlin" };
    expect(timesAfter(berlin, "2026-10-24T12:00:00Z", 2)).toEqual([
      "2026-10-25T00:30Z",
      "2026-10-26T01:30Z",
    ]);
    // Between the two half past twos: the first has been, and the second does not count.
    expect(timesAfter(berlin, "2026-10-25T00:30:00Z", 1)).toEqual(["2026-10-26T01:30Z"]);
    expect(timesAfter(berlin, "2026-10-25T01:00:00Z", 1)).toEqual(["2026-10-26T01:30Z"]);
  });

  test("lists of plain hours are plain times too", () => {
    const twice = { cron: ["30 2,14 * * *"], timeZone: "Europe/Berlin" };
    expect(timesAfter(twice, "2026-03-28T20:00:00Z", 3)).toEqual([
      "2026-03-29T01:00Z",
      "2026-03-29T12:30Z",
      "2026-03-30T00:30Z",
    ]);
  });

  test("what repeats within the hour goes by real time through both changes", () => {
    const hourly = { cron: ["30 * * * *"], timeZone: "Europe/Berlin" };
    expect(timesAfter(hourly, "2026-03-29T00:00:00Z", 3)).toEqual([
      "2026-03-29T00:30Z",
      "2026-03-29T01:30Z",
      "2026-03-29T02:30Z",
    ]);
    expect(timesAfter(hourly, "2026-10-25T00:00:00Z", 3)).toEqual([
      "2026-10-25T00:30Z",
      "2026-10-25T01:30Z",
      "2026-10-25T02:30Z",
    ]);
  });

  test("a zone that changes by half an hour", () => {
    const island = { cron: ["15 2 * * *"], timeZone: "Australia/Lord_Howe" };
    expect(timesAfter(island, "2026-10-02T16:00:00Z", 2)).toEqual([
      "2026-10-03T15:30Z",
      "2026-10-04T15:15Z",
    ]);
    const quarters = { cron: ["*/15 * * * *"], timeZone: "Australia/Lord_Howe" };
    const times = timesAfter(quarters, "2026-04-04T13:50:00Z", 8).map((time) => Date.parse(time));
    expect(times.slice(1).map((time, at) => time - (times[at] ?? 0))).toEqual(
      Array.from({ length: 7 }, () => 900_000),
    );
  });

  test("every day of ten years has exactly one plain time, in any zone", () => {
    for (const timeZone of ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]) {
      const next = timesOf({ workflow: "w", cron: ["30 2 * * *"], timeZone });
      const day = new Intl.DateTimeFormat("en-CA", { timeZone, dateStyle: "short" });
      const days: string[] = [];
      let atMs: number | null = Date.parse("2026-01-01T12:00:00Z");
      while ((atMs = next(atMs)) !== null && days.length < 3_650) days.push(day.format(atMs));
      expect(new Set(days).size).toBe(days.length);
      const first = Date.parse(days[0] ?? "");
      expect(days.map((one) => Math.round((Date.parse(one) - first) / 86_400_000))).toEqual(
        days.map((_, index) => index),
      );
    }
  });

  test("several expressions are joined, and a time of two of them comes once", () => {
    const both = { cron: ["0 9 * * 1-5", "0 9,12 * * *"] };
    expect(timesAfter(both, "2026-11-20T08:00:00Z", 4)).toEqual([
      "2026-11-20T09:00Z",
      "2026-11-20T12:00Z",
      "2026-11-21T09:00Z",
      "2026-11-21T12:00Z",
    ]);
  });

  test("intervals count from the epoch, moved by their offset", () => {
    const every = { everyMs: 3_600_000, offsetMs: 900_000 };
    expect(timesAfter(every, "2026-11-20T08:15:00Z", 2)).toEqual([
      "2026-11-20T09:15Z",
      "2026-11-20T10:15Z",
    ]);
    expect(timesAfter(every, "2026-11-20T08:14:59.999Z", 1)).toEqual(["2026-11-20T08:15Z"]);
  });

  test("single times come in order, and start and end bound any of them", () => {
    const at = ["2026-12-24T18:00:00+01:00", "2026-12-06T07:00:00Z"];
    expect(timesAfter({ at }, "2026-11-20T08:00:00Z", 5)).toEqual([
      "2026-12-06T07:00Z",
      "2026-12-24T17:00Z",
    ]);
    const bounded = {
      cron: ["0 * * * *"],
      startAt: "2026-11-20T10:00:00Z",
      endAt: "2026-11-20T12:00:00Z",
    };
    expect(timesAfter(bounded, "2026-11-01T00:00:00Z", 5)).toEqual([
      "2026-11-20T10:00Z",
      "2026-11-20T11:00Z",
      "2026-11-20T12:00Z",
    ]);
  });
});
