/**
 * What the kinds of incidents mean, in words for people.
 *
 * @module
 */

const KINDS: Readonly<Record<string, string>> = {
  crash: "The actor's thread or process ended by an error that nothing caught.",
  "out-of-memory": "The actor needed more memory than its limit allows.",
  spin: "The actor's event loop was blocked for too long, so that it could not answer.",
  hang: "Work made no progress within its limit, or did not stop when asked.",
  exit: "The actor ended its own thread or process, or was killed on purpose.",
  "unhandled-rejection": "A promise was rejected in the actor, and nothing handled it.",
  "start-failed": "The actor could not be started.",
  poison: "A task killed three threads, so it was given up; a retry by hand starts anew.",
  "gave-up": "The actor died more often than its restart limit allows.",
};

const ACTIONS: Readonly<Record<string, string>> = {
  restarted: "was started again",
  terminated: "its thread was ended, and another took over",
  quarantined: "the task was put aside",
  "gave-up": "is not started again by itself",
};

/** Undefined for a kind that is not explained here: its own words and its error have to do. */
export function kindText(kind: string): string | undefined {
  return Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
}

export function actionText(action: string): string {
  return (Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined) ?? action;
}
