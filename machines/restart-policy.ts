/**
 * Restart policy: what a supervisor does after one child exits, and which siblings it takes along.
 *
 * Pure: the caller passes the clock reading, so each case is one row of a test table.
 * Source: Erlang/OTP `supervisor`: restart types, strategies, restart intensity, auto-shutdown.
 *
 * @module
 */

/** When an exited child starts again. `transient`: only after an abnormal exit. */
export type Restart = "permanent" | "transient" | "temporary";

/** Who restarts with an exited child: nobody, everybody, or those started after it. */
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one";

/** Whether the supervisor ends when a significant child, or the last of them, has ended by itself. */
export type AutoShutdown = "never" | "any_significant" | "all_significant";

export interface Intensity {
  /** Restarts tolerated inside one period. The next one makes the supervisor give up. */
  readonly maxRestarts: number;
  readonly periodMs: number;
}

/** OTP's defaults; ours are in `actors/tree/supervisor.ts`. */
export const OTP_INTENSITY: Intensity = { maxRestarts: 1, periodMs: 5_000 };

/** What a child's own rule says of an error. `restart`: as its restart type says. */
export type Verdict = "restart" | "stop" | "escalate";

export type Decision =
  | { readonly type: "forget" }
  | { readonly type: "restart"; readonly restartsMs: readonly number[] }
  | { readonly type: "escalate"; readonly because: "intensity" | "budget" | "verdict" };

export interface ExitCase {
  readonly restart: Restart;
  readonly exit: "normal" | "shutdown" | "abnormal";
  readonly verdict: Verdict;
  /** False: the whole tree has no restarts left. */
  readonly budgetLeft: boolean;
  readonly intensity: Intensity;
  /** Monotonic times of this supervisor's earlier restarts, oldest first. */
  readonly restartsMs: readonly number[];
  /** Monotonic time of the exit. */
  readonly nowMs: number;
}

export function decideRestart(exit: ExitCase): Decision {
  if (exit.restart === "temporary") return { type: "forget" };
  if (exit.restart === "transient" && exit.exit !== "abnormal") return { type: "forget" };
  if (exit.verdict === "stop") return { type: "forget" };
  if (exit.verdict === "escalate") return { type: "escalate", because: "verdict" };
  const { intensity, nowMs } = exit;
  const recent = withinPeriod(exit.restartsMs, intensity.periodMs, nowMs);
  if (recent.length >= intensity.maxRestarts) return { type: "escalate", because: "intensity" };
  if (!exit.budgetLeft) return { type: "escalate", because: "budget" };
  return { type: "restart", restartsMs: [...recent, nowMs] };
}

/** The restarts that still count. */
export function withinPeriod(
  restartsMs: readonly number[],
  periodMs: number,
  nowMs: number,
): readonly number[] {
  return restartsMs.filter((at) => nowMs - at <= periodMs);
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
