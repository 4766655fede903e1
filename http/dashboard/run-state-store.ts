/**
 * What the shown run waits for: read anew when its journal grows, since the stream does not carry it.
 *
 * @module
 */

import { computed, signal } from "@preact/signals";
import type { RunStateView } from "../../runtime/system.ts";
import { ApiError, getJson } from "./api.ts";
import { connection, model, run, showUnexpected } from "./store.ts";

/** A busy run is asked no more often. */
const EVERY_MS = 1_000;

const runState = signal<RunStateView | null>(null);

/** Null while it is not known, and for a run that is neither running nor paused. */
export function stateOf(workflowId: string): RunStateView | null {
  return runState.value?.id === workflowId ? runState.value : null;
}

const asked = computed(() => {
  const { id, status } = run.value?.workflow ?? {};
  return status === "running" || status === "paused" ? id : undefined;
});

let timer: ReturnType<typeof setTimeout> | undefined;
let readAtMs = -EVERY_MS;

async function read(): Promise<void> {
  timer = undefined;
  readAtMs = performance.now();
  const id = asked.peek();
  if (id === undefined) {
    runState.value = null;
    return;
  }
  try {
    const found = await getJson<RunStateView>(`/workflows/${encodeURIComponent(id)}/state`);
    const known = runState.peek();
    const isOlder = known?.id === id && known.seq > found.seq;
    if (asked.peek() === id && !isOlder) runState.value = found;
  } catch (error) {
    // A run that was removed meanwhile is said to be gone elsewhere.
    if (!(error instanceof ApiError && error.code === "NOT_FOUND")) throw error;
  }
}

/** Called once. */
export function startRunState(): void {
  const version = computed(() => {
    const { status, tasks } = run.value?.workflow ?? {};
    const seq = model.value.journal.at(-1)?.seq;
    return [asked.value, status, tasks?.running, tasks?.done, seq, connection.value].join(" ");
  });
  version.subscribe(() => {
    timer ??= setTimeout(
      () => {
        read().catch(showUnexpected);
      },
      Math.max(0, readAtMs + EVERY_MS - performance.now()),
    );
  });
}
