/**
 * The times of a schedule: cron in a time zone by croner, intervals and lists by arithmetic.
 *
 * Clocks that are put forward or back: a cron expression with plain hours and minutes (`30 2 * * *`) has exactly
 * one time on each of its days: a time that does not exist becomes the first moment after the gap, of one
 * that comes twice only the first counts. One with `*` or a step in seconds, minutes or hours goes by real
 * time: it leaves the gap out and goes on through the doubled hour.
 *
 * @module
 */

import { Cron } from "croner";
import type { NextTime, ScheduleSpec } from "../../machines/schedule-spec.ts";

/** @throws {TypeError} For a cron expression that cannot be read, in croner's words. */
export function timesOf(spec: ScheduleSpec): NextTime {
  const startMs = spec.startAt === undefined ? Number.NEGATIVE_INFINITY : Date.parse(spec.startAt);
  const endMs = spec.endAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(spec.endAt);
  const next = anyTimesOf(spec);
  return (afterMs) => {
    const timeMs = next(Math.max(afterMs, startMs - 1));
    return timeMs === null || timeMs > endMs ? null : timeMs;
  };
}

function anyTimesOf({ at, cron, everyMs, offsetMs = 0, timeZone = "UTC" }: ScheduleSpec): NextTime {
  if (cron !== undefined) return earliestOf(cron.map((pattern) => cronTimes(pattern, timeZone)));
  if (everyMs !== undefined) {
    return (afterMs) => (Math.floor((afterMs - offsetMs) / everyMs) + 1) * everyMs + offsetMs;
  }
  const times = (at ?? []).map((time) => Date.parse(time)).toSorted((a, b) => a - b);
  return (afterMs) => times.find((timeMs) => timeMs > afterMs) ?? null;
}

function earliestOf(all: readonly NextTime[]): NextTime {
  return (afterMs) => {
    const times = all.flatMap((next) => next(afterMs) ?? []);
    return times.length === 0 ? null : Math.min(...times);
  };
}

function cronTimes(pattern: string, timeZone: string): NextTime {
  const cron = new Cron(pattern, {
    timezone: timeZone,
    mode: "5-or-6-parts",
    fixedTimeRule: "no-wildcard",
    paused: true,
  });
  return (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() ?? null;
}
