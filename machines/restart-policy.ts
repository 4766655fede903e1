/**
 * Restart policy: what a supervisor does after one child exits, and which siblings it takes along.
 *
 * Pure: the caller passes the clock reading, so each case is one row of a test table.
 * Source: Erlang/OTP `supervisor`, restart types, strategies and restart intensity.
 *
 * @module
 */

/** When an exited child starts again. `transient`: only after an abnormal exit. */
export type Restart = "permanent" | "transient" | "temporary";

/** Who restarts with an exited child: nobody, everybody, or those started after it. */
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one";

export interface Intensity {
  /** Restarts tolerated inside one period. The next one makes the supervisor give up. */
  readonly maxRestarts: number;
  readonly periodMs: number;
}

export type Decision =
  | { readonly type: "forget" }
  | { readonly type: "restart"; readonly restartsMs: readonly number[] }
  | { readonly type: "escalate" };

/**
 * @param restartsMs Monotonic times of this supervisor's earlier restarts, oldest first.
 * @param nowMs Monotonic time of the exit.
 */
export function decideRestart(
  restart: Restart,
  exit: "normal" | "abnormal",
  intensity: Intensity,
  restartsMs: readonly number[],
  nowMs: number,
): Decision {
  if (restart === "temporary") return { type: "forget" };
  if (restart === "transient" && exit === "normal") return { type: "forget" };
  const recent = restartsMs.filter((at) => nowMs - at <= intensity.periodMs);
  if (recent.length >= intensity.maxRestarts) return { type: "escalate" };
  return { type: "restart", restartsMs: [...recent, nowMs] };
}

/** Siblings that restart together with `id`, in start order, without `id` itself. */
export function restartedWith(strategy: Strategy, ids: readonly string[], id: string): string[] {
  switch (strategy) {
    case "one_for_one":
      return [];
    case "one_for_all":
      return ids.filter((other) => other !== id);
    case "rest_for_one":
      return ids.slice(ids.indexOf(id) + 1);
  }
}
