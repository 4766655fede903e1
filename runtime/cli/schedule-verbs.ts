/**
 * The verbs about schedules: each is one request and its answer as text or JSON.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import type { ScheduleSpec } from "../../machines/schedule-spec.ts";
import type { Page, ScheduleFireView, ScheduleView } from "../system.ts";
import type { ApiClient } from "./api-client.ts";
import { durationText } from "./figures.ts";
import { tableLines } from "./table.ts";
import type { VerbOutput } from "./verbs.ts";

function pathOf(id: string): string {
  return `/schedules/${encodeURIComponent(id)}`;
}

export async function listSchedules(api: ApiClient, out: VerbOutput): Promise<number> {
  const items: ScheduleView[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const query = new URLSearchParams({ limit: "200", ...(cursor === "" ? {} : { cursor }) });
    const page: Page<ScheduleView> = await api.get(`/schedules?${query}`);
    items.push(...page.items);
    cursor = page.nextCursor;
  }
  out.json({ items });
  if (items.length === 0) out.line("No schedules");
  const rows = items.map((schedule) => [
    schedule.id,
    workflowOf(schedule.spec),
    whenOf(schedule.spec),
    schedule.status,
    schedule.next[0]?.dueAt ?? "",
    `${schedule.open.length}/${schedule.waiting.length}`,
    String(schedule.counts.started),
    String(schedule.counts.failed),
  ]);
  const headings = ["SCHEDULE", "WORKFLOW", "WHEN", "STATUS", "NEXT", "OPEN", "STARTED", "FAILED"];
  if (rows.length > 0) for (const line of tableLines(headings, rows)) out.line(line);
  return 0;
}

export async function showSchedule(api: ApiClient, id: string, out: VerbOutput): Promise<number> {
  const schedule = await api.get<ScheduleView>(pathOf(id));
  out.json(schedule);
  print(schedule, out);
  return 0;
}

function print(schedule: ScheduleView, out: VerbOutput): void {
  const { counts, note, spec } = schedule;
  out.line(`${schedule.id} is ${schedule.status}${note === null ? "" : `: ${note}`}`);
  out.line(`  starts ${workflowOf(spec)} ${whenOf(spec)}`);
  for (const { time, dueAt } of schedule.next) {
    out.line(`  next ${time}${dueAt === time ? "" : `, due at ${dueAt}`}`);
  }
  for (const { time, workflowId } of schedule.open) {
    out.line(`  open ${time} ${workflowId ?? "is being started"}`);
  }
  for (const time of schedule.waiting) out.line(`  waiting ${time}`);
  for (const { from, to, overlap } of schedule.backfills) {
    out.line(`  to make up for ${from} to ${to} (${overlap})`);
  }
  const figures = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
  out.line(`  ${figures.join(", ")}`);
}

export async function listFires(
  api: ApiClient,
  verb: { readonly id: string; readonly limit: string },
  out: VerbOutput,
): Promise<number> {
  const query = new URLSearchParams({ limit: verb.limit });
  const page = await api.get<Page<ScheduleFireView>>(`${pathOf(verb.id)}/fires?${query}`);
  out.json(page);
  const rows = page.items.map(({ time, outcome, workflowId, backfill, reason }) => [
    time,
    outcome,
    workflowId ?? "",
    backfill ? "backfill" : "",
    reason ?? "",
  ]);
  if (rows.length === 0) out.line("No time has come yet");
  for (const line of tableLines(["TIME", "OUTCOME", "RUN", "", "REASON"], rows)) out.line(line);
  return 0;
}

export async function createSchedule(
  api: ApiClient,
  verb: { readonly id: string; readonly spec: ScheduleSpec; readonly replace: boolean },
  out: VerbOutput,
): Promise<number> {
  const body = { id: verb.id, ...verb.spec } as unknown as Json;
  const schedule = await api.post<ScheduleView>(`/schedules?replace=${verb.replace}`, body);
  out.json(schedule);
  print(schedule, out);
  return 0;
}

export async function controlSchedule(
  api: ApiClient,
  control: "pause" | "resume" | "backfill",
  verb: { readonly id: string; readonly body: Json },
  out: VerbOutput,
): Promise<number> {
  const schedule = await api.post<ScheduleView>(`${pathOf(verb.id)}/${control}`, verb.body);
  out.json(schedule);
  print(schedule, out);
  return 0;
}

/** 0 when a run was started, or will be. */
export async function triggerSchedule(
  api: ApiClient,
  verb: { readonly id: string; readonly body: Json },
  out: VerbOutput,
): Promise<number> {
  const fire = await api.post<ScheduleFireView>(`${pathOf(verb.id)}/trigger`, verb.body);
  out.json(fire);
  const why = fire.reason === null ? "" : `: ${fire.reason}`;
  out.line(`${fire.time} ${fire.outcome} ${fire.workflowId ?? ""}${why}`);
  return fire.outcome === "skipped" || fire.outcome === "failed" ? 1 : 0;
}

export async function deleteSchedule(api: ApiClient, id: string, out: VerbOutput): Promise<number> {
  await api.delete(pathOf(id));
  out.json({ id, deleted: true });
  out.line(`${id} is gone; runs that it has started go on`);
  return 0;
}

function workflowOf({ workflow }: ScheduleSpec): string {
  if (typeof workflow === "string") return workflow;
  const { id } = workflow as { id?: unknown };
  return typeof id === "string" ? id : "a definition";
}

function whenOf({ at, cron, everyMs, timeZone = "UTC" }: ScheduleSpec): string {
  if (cron !== undefined) return `${cron.join(" | ")} ${timeZone}`;
  if (everyMs !== undefined) return `every ${durationText(everyMs)}`;
  return `at ${(at ?? []).join(", ")}`;
}
