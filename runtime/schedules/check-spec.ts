/**
 * Refuses schedules that cannot mean anything, with all that is wrong at once.
 *
 * @module
 */

import type { NextTime, ScheduleSpec } from "../../machines/schedule-spec.ts";
import { RequestError } from "../system.ts";
import { timesOf } from "./times.ts";

/** More often than this is work for an agent that runs on, not for a schedule. */
export const shortestIntervalMs = 1_000;
const longestDurationMs = 366 * 24 * 60 * 60 * 1_000;
/** Cron expressions, or single times, of one schedule. */
const mostTimes = 100;
const mostBuffered = 1_000;

interface Field {
  readonly pointer: string;
  readonly detail: string;
}

export interface SpecContext {
  readonly id: string;
  readonly nowMs: number;
  /** Whether this node can start it by name. */
  knows(workflow: string): boolean;
}

/**
 * @returns Its times.
 * @throws {RequestError} `INVALID`, naming each wrong field.
 */
export function checkSpec(spec: ScheduleSpec, context: SpecContext): NextTime {
  const wrong = [
    ...checkId(context.id),
    ...checkWorkflow(spec, context),
    ...checkWhen(spec),
    ...checkTimes(spec),
    ...checkNumbers(spec),
  ];
  if (wrong.length > 0) refuse(context.id, wrong);
  const times = timesOf(spec);
  if (times(context.nowMs) === null) {
    refuse(context.id, [{ pointer: whenOf(spec), detail: "has no time in the future" }]);
  }
  return times;
}

function refuse(id: string, fields: readonly Field[]): never {
  const named = fields.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; ");
  throw new RequestError("INVALID", `Cannot accept schedule "${id}": ${named}`, fields);
}

function checkId(id: string): Field[] {
  if (/^[A-Za-z0-9][\w.-]{0,99}$/.test(id)) return [];
  const detail = "must be 1 to 100 letters, digits, dots, dashes and underscores";
  return [{ pointer: "/id", detail }];
}

function checkWorkflow({ workflow }: ScheduleSpec, { knows }: SpecContext): Field[] {
  if (typeof workflow !== "string" || knows(workflow)) return [];
  return [{ pointer: "/workflow", detail: `names no workflow of this node: "${workflow}"` }];
}

function whenOf({ cron, everyMs }: ScheduleSpec): string {
  if (cron !== undefined) return "/cron";
  return everyMs === undefined ? "/at" : "/everyMs";
}

function checkWhen(spec: ScheduleSpec): Field[] {
  const given = [spec.cron, spec.everyMs, spec.at].filter((one) => one !== undefined);
  if (given.length !== 1) return [{ pointer: "", detail: "needs one of cron, everyMs and at" }];
  const wrong: Field[] = [];
  if (spec.offsetMs !== undefined && spec.everyMs === undefined) {
    wrong.push({ pointer: "/offsetMs", detail: "goes with everyMs only" });
  }
  const { timeZone = "UTC" } = spec;
  if (spec.timeZone !== undefined && spec.cron === undefined) {
    wrong.push({ pointer: "/timeZone", detail: "goes with cron only" });
  }
  if (!isTimeZone(timeZone)) {
    const detail = `must be an IANA name such as Europe/Berlin, not "${timeZone}"`;
    return [...wrong, { pointer: "/timeZone", detail }];
  }
  const { at = [], cron } = spec;
  const count = cron?.length ?? at.length;
  if (spec.everyMs === undefined && (count < 1 || count > mostTimes)) {
    wrong.push({ pointer: whenOf(spec), detail: `must have 1 to ${mostTimes} entries` });
  }
  for (const [index, pattern] of (cron ?? []).entries()) {
    const detail = cronTrouble(pattern, timeZone);
    if (detail !== undefined) wrong.push({ pointer: `/cron/${index}`, detail });
  }
  return wrong;
}

function cronTrouble(pattern: string, timeZone: string): string | undefined {
  try {
    // It reads dates too, and those have a field of their own.
    if (/^\s*\d{4}-/.test(pattern)) return "is a date: use at";
    const next = timesOf({ workflow: "", cron: [pattern], timeZone });
    return next(0) === null ? `never comes: "${pattern}"` : undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^CronPattern: /, "") : "";
    return `cannot be read: ${reason}`;
  }
}

function isTimeZone(name: string): boolean {
  try {
    // Offsets such as "+01:00" know no daylight saving, so they are no zones.
    return (
      /^[A-Za-z]/.test(name) && new Intl.DateTimeFormat("en", { timeZone: name }).format(0) !== ""
    );
  } catch {
    return false;
  }
}

function checkTimes({ at = [], startAt, endAt }: ScheduleSpec): Field[] {
  const wrong: Field[] = [];
  const check = (pointer: string, time: string | undefined): void => {
    if (time !== undefined && readTime(time) === undefined) {
      wrong.push({ pointer, detail: "must be a time as 2026-03-29T03:00:00Z" });
    }
  };
  check("/startAt", startAt);
  check("/endAt", endAt);
  for (const [index, time] of at.entries()) check(`/at/${index}`, time);
  return wrong;
}

/** ISO 8601 with its offset, in epoch milliseconds; undefined for anything else. */
export function readTime(time: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(time)) return undefined;
  const timeMs = Date.parse(time);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

function checkNumbers(spec: ScheduleSpec): Field[] {
  const wrong: Field[] = [];
  const check = (name: keyof ScheduleSpec, min: number, max: number): void => {
    const value = spec[name];
    if (value === undefined) return;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max)
      return;
    wrong.push({ pointer: `/${name}`, detail: `must be a whole number from ${min} to ${max}` });
  };
  check("everyMs", shortestIntervalMs, longestDurationMs);
  check("offsetMs", 0, longestDurationMs);
  check("jitterMs", 0, longestDurationMs);
  check("catchupWindowMs", 1_000, longestDurationMs);
  check("bufferLimit", 1, mostBuffered);
  check("maxRuns", 1, Number.MAX_SAFE_INTEGER);
  check("priority", 1, 5);
  return wrong;
}
