/**
 * Schedules as the page knows them, and what can be done to one.
 *
 * @module
 */

import { effect, signal } from "@preact/signals";
import type { Page, ScheduleFireView, ScheduleView } from "../../runtime/system.ts";
import { poll } from "./actors-store.ts";
import { ApiError, getJson, postJson } from "./api.ts";
import { connection, notice } from "./store.ts";

/** Times are minutes apart, and a change of somebody else's may wait this long. */
const SCHEDULES_EVERY_MS = 10_000;
/** What the page shows at most; the command line lists all. */
const SCHEDULES = 100;

export const schedules = signal<readonly ScheduleView[]>([]);
/** Id of the schedule whose change waits for its answer. */
export const changing = signal<string | null>(null);

async function readSchedules(): Promise<void> {
  schedules.value = (await getJson<Page<ScheduleView>>(`/schedules?limit=${SCHEDULES}`)).items;
}

export type ScheduleControl = "pause" | "resume" | "trigger";

export async function controlSchedule(id: string, control: ScheduleControl): Promise<void> {
  if (changing.value !== null) return;
  changing.value = id;
  try {
    const path = `/schedules/${encodeURIComponent(id)}/${control}`;
    const body = { reason: "asked for on the dashboard" };
    const answer = await postJson<ScheduleView | ScheduleFireView>(path, body);
    if ("outcome" in answer) tell(id, answer);
    await readSchedules();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    notice.value = { tone: "bad", text: error.message };
  } finally {
    changing.value = null;
  }
}

function tell(id: string, { outcome, reason }: ScheduleFireView): void {
  const tone = outcome === "skipped" || outcome === "failed" ? "bad" : "good";
  const why = reason === null ? "" : `: ${reason}`;
  notice.value = { tone, text: `${id} by hand: ${outcome}${why}` };
}

/** Called once. */
export function startSchedules(): void {
  effect(() => (connection.value === "live" ? poll(readSchedules, SCHEDULES_EVERY_MS) : undefined));
}
