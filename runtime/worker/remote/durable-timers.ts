/**
 * The delayed events of a machine as rows: what has changed since the last commit, and how to arm them again.
 *
 * @module
 */

import type { AnyActorRef, EventObject } from "xstate";
import type { SavedTimer } from "../../../db/actor-repo.ts";
import { AgentError, type Json } from "../../../machines/error-code.ts";
import { type ActorDefinition, timerPolicy } from "./define-actor.ts";
import { decodeValue, encodeValue } from "./snapshot-codec.ts";
import { reschedule, type ScheduledEvent, scheduledEvents } from "./xstate-adapter.ts";

export interface TimerChanges {
  readonly set: readonly SavedTimer[];
  readonly drop: readonly string[];
}

export interface DurableTimers {
  /** What to store with the next commit. */
  changes(): TimerChanges;
  /** That commit is stored. */
  stored(): void;
}

interface TimerEvent {
  readonly event: Json;
  readonly id: string;
  readonly source: string;
  readonly target: string;
}

/**
 * Arms the stored timers again, overdue ones at once, the soonest first. `root` runs.
 * @param options.lenient After a migration: a timer of an actor that is gone is forgotten.
 * @throws {AgentError} `TIMER_LOST`.
 */
export function armTimers(
  root: AnyActorRef,
  definition: ActorDefinition,
  saved: readonly SavedTimer[],
  options: { readonly lenient: boolean },
): DurableTimers {
  const lost = saved.filter((timer) => !arm(root, timer));
  if (lost.length > 0 && !options.lenient) {
    const ids = lost.map(({ id }) => id).join(", ");
    throw new AgentError(
      "TIMER_LOST",
      `Cannot arm the timers of "${definition.name}": the snapshot has no actor for ${ids}`,
    );
  }
  /** Due times as XState tells them, by row: another time is another timer. */
  let known = new Map<string, number>();
  let next = new Map<string, number>();
  const armed = new Set(saved.map(({ id }) => id));
  for (const timer of scheduledEvents(root)) {
    if (armed.has(rowId(timer))) known.set(rowId(timer), timer.dueMs);
  }
  // Rows that were not armed leave with the first commit.
  for (const { id } of lost) known.set(id, Number.NaN);
  return {
    changes: () => {
      const scheduled = scheduledEvents(root);
      next = new Map(scheduled.map((timer) => [rowId(timer), timer.dueMs]));
      return {
        set: scheduled
          .filter((timer) => known.get(rowId(timer)) !== timer.dueMs)
          .map((timer) => rowOf(definition, timer)),
        drop: [...known.keys()].filter((id) => !next.has(id)),
      };
    },
    stored: () => {
      known = next;
    },
  };
}

function arm(root: AnyActorRef, timer: SavedTimer): boolean {
  const { event, ...place } = timer.event as unknown as TimerEvent;
  const decoded = decodeValue(event) as EventObject;
  return reschedule(root, { ...place, event: decoded }, Math.max(0, timer.dueInMs));
}

function rowId({ source, id }: Pick<ScheduledEvent, "source" | "id">): string {
  return `${source}|${id}`;
}

function rowOf(definition: ActorDefinition, timer: ScheduledEvent): SavedTimer {
  const { id, source, target } = timer;
  const event: TimerEvent = { event: encodeValue(timer.event), id, source, target };
  return {
    id: rowId(timer),
    event: event as unknown as Json,
    policy: timerPolicy(definition, id),
    delayMs: Math.round(timer.delayMs),
    dueInMs: timer.dueMs - Date.now(),
  };
}
