/**
 * Hands inspected transitions to the live stream: at most one event of each actor per interval.
 *
 * @module
 */

import type { Log } from "../actors/ports.ts";
import type { Config } from "./config.ts";
import type { LiveHub } from "./live-hub.ts";
import type { InspectedTransition } from "./system.ts";
import type { TransitionFrame } from "./worker/inspect/frames.ts";
import { createInspectionHub, type InspectionHub } from "./worker/inspect/hub.ts";

const intervalMs = 200;
/** Transitions of one actor in one event; older ones are left out and counted. */
const maxTransitions = 50;
/** Actors in one interval; the rest waits for the next one. */
const maxActors = 64;

interface Waiting {
  readonly transitions: InspectedTransition[];
  leftOut: number;
}

/** The hub of a node, with its feed. */
export function startInspection(
  live: LiveHub,
  { inspection }: Pick<Config, "inspection">,
  log: Log,
): InspectionHub {
  const hub = createInspectionHub({
    secretNames: inspection.secretNames,
    onError: (message) => log.warn(message),
  });
  hub.setMode(inspection.mode);
  feedInspection(hub, live);
  return hub;
}

/** Topics: `inspect` for all, `actor:ADDRESS` for one. @returns Ends it. */
function feedInspection(hub: InspectionHub, live: LiveHub): () => void {
  const waiting = new Map<string, Waiting>();
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    timer = undefined;
    let sent = 0;
    for (const [address, { transitions, leftOut }] of waiting) {
      if (sent >= maxActors) break;
      sent += 1;
      waiting.delete(address);
      live.emit(["inspect", `actor:${address}`], {
        type: "inspection",
        address,
        transitions,
        leftOut,
      });
    }
    if (waiting.size > 0) schedule();
  }

  function schedule(): void {
    if (timer !== undefined) return;
    timer = setTimeout(flush, intervalMs);
    timer.unref();
  }

  const unsubscribe = hub.subscribe((frame) => {
    if (frame.type !== "transition") return;
    const { address } = frame.transition;
    const one = waiting.get(address) ?? { transitions: [], leftOut: 0 };
    waiting.set(address, one);
    one.transitions.push(publicTransition(frame.transition));
    if (one.transitions.length > maxTransitions) {
      one.transitions.shift();
      one.leftOut += 1;
    }
    schedule();
  });
  return () => {
    unsubscribe();
    clearTimeout(timer);
  };
}

/** Without what only the Stately bridge reads. */
export function publicTransition(frame: TransitionFrame): InspectedTransition {
  const { atMs: _, snapshot: __, ...transition } = frame;
  return transition;
}
