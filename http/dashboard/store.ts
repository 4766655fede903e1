/**
 * The page's state as signals, and what the user can do to it.
 *
 * @module
 */

import { batch, computed, effect, signal } from "@preact/signals";
import type { Json } from "../../machines/error-code.ts";
import type { JournalEntry, Page, SystemStatus, WorkflowView } from "../../runtime/system.ts";
import type { ServerFrame } from "../live/frames.ts";
import { ApiError, getJson, postJson } from "./api.ts";
import { addJournal, applyFrame, EMPTY_MODEL, MAX_JOURNAL } from "./model.ts";
import { readPlace, writePlace } from "./place.ts";
import { startStream } from "./stream.ts";

/** Pages of the journal that are read when a run is opened: as many as the page keeps entries of. */
const JOURNAL_PAGE = 1_000;
const JOURNAL_PAGES = 20;
const STATUS_EVERY_MS = 10_000;

export const model = signal(EMPTY_MODEL);
export const connection = signal<"connecting" | "live" | "reconnecting">("connecting");
/** What the address says: which run, which task, and how the tasks are shown. */
export const place = signal(readPlace(location.search));
/** Milliseconds of the wall clock, once a second. */
export const nowMs = signal(Date.now());
export const notice = signal<{ tone: "good" | "bad"; text: string } | null>(null);
/** Name of the operation that waits for its answer. */
export const pending = signal<string | null>(null);
export const report = signal<Json | null>(null);

/** The run that is looked at: the one in the address, else the newest one that is not over, else the newest. */
export const workflowId = computed(() => {
  if (place.value.workflow !== undefined) return place.value.workflow;
  const all = [...model.value.workflows.values()];
  return (all.find((workflow) => !isOver(workflow)) ?? all[0])?.id;
});

export const run = computed(() => model.value.run);
export const selectedTask = computed(() => {
  const key = place.value.task;
  return key === undefined ? undefined : run.value?.tasks.get(key);
});

export function isOver(workflow: WorkflowView): boolean {
  return ["completed", "failed", "cancelled"].includes(workflow.status);
}

export function go(change: Partial<typeof place.value>): void {
  place.value = { ...place.value, ...change };
  history.pushState(null, "", writePlace(place.value));
}

/** Address of another place, for links that also work in a new tab. */
export function addressOf(change: Partial<typeof place.value>): string {
  return writePlace({ ...place.value, ...change });
}

/** What the server refused last, shown where it was asked for. */
export const refusal = signal<{ subject: string; text: string } | null>(null);

/** Names what a command is about, for its refusal to be shown there. */
export function subjectOf(id: string, taskKey?: string): string {
  return taskKey === undefined ? id : `${id}/${taskKey}`;
}

/** @returns Whether the server took it; else `refusal` says why not. */
export async function order(
  id: string,
  path: string,
  body: Readonly<Record<string, Json>>,
  subject: string,
): Promise<boolean> {
  if (pending.value !== null) return false;
  pending.value = subject;
  refusal.value = null;
  try {
    const reason = body["reason"] || "asked for on the dashboard";
    const url = `/workflows/${encodeURIComponent(id)}/${path}`;
    const workflow = await postJson<WorkflowView>(url, { ...body, reason });
    receive({ type: "workflow", workflow });
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    refusal.value = { subject, text: error.message };
    return false;
  } finally {
    pending.value = null;
  }
}

function receive(body: Extract<ServerFrame, { type: "event" }>["body"]): void {
  const frame = { type: "event", epoch: "", seq: 0, topics: [], at: "", body } as const;
  model.value = applyFrame(model.value, frame, workflowId.value, Date.now());
}

async function loadJournal(id: string): Promise<void> {
  let after = 0;
  for (let page = 0; page < JOURNAL_PAGES; page += 1) {
    const query = `after=${after}&limit=${JOURNAL_PAGE}`;
    const { items, nextCursor } = await getJson<Page<JournalEntry>>(
      `/workflows/${encodeURIComponent(id)}/history?${query}`,
    );
    if (workflowId.value !== id) return;
    model.value = addJournal(model.value, items.slice(-MAX_JOURNAL));
    if (nextCursor === null) return;
    after = Number(nextCursor);
  }
}

async function loadReport(id: string): Promise<void> {
  try {
    const json = await getJson<Json>(`/workflows/${encodeURIComponent(id)}/report`);
    if (workflowId.value === id) report.value = json;
  } catch (error) {
    // No report is a usual state; anything else is worth a word.
    if (!(error instanceof ApiError)) throw error;
    if (error.code !== "NOT_FOUND") notice.value = { tone: "bad", text: error.message };
  }
}

/** Readiness and counters are not part of the stream. */
async function readStatus(): Promise<void> {
  const status = await getJson<SystemStatus>("/system/status");
  model.value = { ...model.value, status, statusAtMs: Date.now() };
}

/** Frames that came since the last paint; applied together, so that a burst costs one render. */
let waiting: ServerFrame[] = [];
let isScheduled = false;

function applyWaiting(): void {
  isScheduled = false;
  const frames = waiting;
  waiting = [];
  const now = Date.now();
  model.value = frames.reduce(
    (next, frame) => applyFrame(next, frame, workflowId.peek(), now),
    model.peek(),
  );
  // After any break the journal is read anew: the reading before may have been cut off.
  const missed = frames.some(({ type }) => ["resync", "snapshot", "resumed"].includes(type));
  const id = workflowId.peek();
  const isKnown = id !== undefined && model.peek().run?.workflow.id === id;
  if (missed && isKnown) loadJournal(id).catch(showUnexpected);
}

function schedule(frame: ServerFrame): void {
  waiting.push(frame);
  if (isScheduled) return;
  isScheduled = true;
  // A hidden page gets no animation frames; it still keeps up, four times a second.
  if (document.hidden) setTimeout(applyWaiting, 250);
  else requestAnimationFrame(applyWaiting);
}

/** For what nobody awaits. */
export function showUnexpected(error: unknown): void {
  // The state of the connection says that already, and it ends by itself.
  if (error instanceof ApiError && error.code === "UNREACHABLE") return;
  const text = error instanceof Error ? error.message : String(error);
  notice.value = { tone: "bad", text };
}

/** Connects the page: stream, address, clock. Called once. */
export function startStore(): void {
  const stream = startStream({
    topics: () => {
      const id = workflowId.peek();
      return ["system", "events", ...(id === undefined ? [] : [`workflow:${id}`])];
    },
    onFrame: schedule,
    onState: (state) => {
      connection.value = state;
    },
  });
  setInterval(() => {
    nowMs.value = Date.now();
  }, 1_000);
  setInterval(() => {
    if (!document.hidden && connection.value === "live") readStatus().catch(showUnexpected);
  }, STATUS_EVERY_MS);
  addEventListener("popstate", () => {
    place.value = readPlace(location.search);
  });
  effect(() => {
    const id = workflowId.value;
    batch(() => {
      const known = model.peek().run;
      if (known?.workflow.id !== id) model.value = { ...model.peek(), run: undefined, journal: [] };
      report.value = null;
    });
    stream.refresh();
  });
  const finished = computed(() => {
    const { workflow, graph, tasks } = run.value ?? {};
    if (workflow === undefined || !isOver(workflow)) return undefined;
    // Only phases have a report. The last task writes it; before it ran there is none to ask for.
    if (!workflow.workflow.startsWith("phase")) return undefined;
    const last = tasks?.get(graph?.stages.at(-1)?.tasks.at(-1) ?? "");
    return last !== undefined && last.attempt > 0 ? workflow.id : undefined;
  });
  effect(() => {
    if (finished.value !== undefined) loadReport(finished.value).catch(showUnexpected);
  });
}
