/**
 * A run stands still: nothing new begins, clocks stop, its children stand still too.
 *
 * @module
 */

import type { Json } from "../error-code.ts";
import type { Draft } from "./draft.ts";
import { startClocks, stopClocks } from "./stages.ts";
import type { RunEvent, RunFields } from "./state.ts";
import { commandChild } from "./tasks.ts";

type Pause = NonNullable<RunFields["pause"]>;

export function pauseRun(
  draft: Draft,
  pause: Pick<Pause, "clocks" | "budget">,
  reason: string | null,
  event: RunEvent,
): void {
  const inFlight = draft.inFlight();
  const { clocks } = pause;
  draft.set({ status: "paused", pause: { ...pause, atMs: event.atMs, drained: inFlight === 0 } });
  if (clocks === "stop") stopClocks(draft, draft.timers(), event.atMs);
  draft.record(event, "run.paused", { reason, clocks, inFlight });
  commandChildren(draft, "run.pause", event);
}

export function resumeRun(draft: Draft, reason: string | null, event: RunEvent): void {
  draft.set({ status: "running", ...endOfPause(draft.run(), event.atMs) });
  startClocks(draft, event.atMs);
  const payload: Json = { reason };
  draft.record(event, "run.resumed", payload);
  commandChildren(draft, "run.resume", event);
  // Opening a wait takes it from the list.
  const waiting = Array.from(draft.waiting("go"));
  for (const key of waiting) draft.rules.openWait(draft, key, event);
}

/** What of a run changes when its pause ends, in whatever way. */
export function endOfPause(
  { pause, stoodMs }: RunFields,
  atMs: number,
): Pick<RunFields, "pause" | "stoodMs"> {
  const stood = pause?.clocks === "stop" ? Math.max(0, atMs - pause.atMs) : 0;
  return { pause: null, stoodMs: stoodMs + stood };
}

function commandChildren(draft: Draft, type: "run.pause" | "run.resume", event: RunEvent): void {
  for (const key of draft.waiting("child")) {
    const { childId } = draft.task(key);
    if (childId !== null) commandChild(draft, childId, type, event);
  }
}
