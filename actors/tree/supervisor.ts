/**
 * Runs a supervisor: an XState actor of `machines/supervisor.ts` with its effects provided.
 * Knows children only by their specs; it never looks into what they do.
 *
 * @module
 */

import { createActor, type SnapshotFrom, waitFor } from "xstate";
import type { ChildExit } from "../../machines/child-table.ts";
import { createDeferred } from "../../machines/deferred.ts";
import { AgentError, toErrorRecord } from "../../machines/error-code.ts";
import type { Intensity, Strategy } from "../../machines/restart-policy.ts";
import { supervisorMachine } from "../../machines/supervisor.ts";
import type { Clock, Log } from "../ports.ts";
import type { ChildSpec, RunningChild, TreeNode } from "./child-spec.ts";

const defaultIntensity: Intensity = { maxRestarts: 5, periodMs: 60_000 };
const defaultBackoff = { initialMs: 50, maxMs: 5_000 };
const workerShutdownMs = 5_000;
const supervisorShutdownMs = 60_000;

/** Timers of the supervisor; tests pass a simulated one. */
export interface Timers {
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(id: unknown): void;
}

export interface SupervisorOptions {
  readonly id: string;
  readonly strategy: Strategy;
  /** Default 5 restarts in 60 s. */
  readonly intensity?: Intensity;
  /** Delay before a restart, doubling within the period. Default 50 ms to 5 s, up to half of it random. */
  readonly backoff?: { readonly initialMs: number; readonly maxMs: number };
  /** Default `ordered`: each child starts when the one before it is ready; stop in reverse. */
  readonly startMode?: "ordered" | "parallel";
  /** Default `fails`, as in OTP. `exits`: a child that cannot start at first is restarted by the rules. */
  readonly startFailure?: "fails" | "exits";
  readonly children: readonly ChildSpec[];
  readonly clock: Clock;
  readonly log: Log;
  readonly timers?: Timers;
  /** From 0 to 1, spreads restarts. Default `Math.random`. */
  readonly random?: () => number;
  /** Called after each change of the tree; must not throw. */
  readonly onChange?: () => void;
}

export interface Supervisor extends RunningChild {
  readonly id: string;
  view(): TreeNode;
  /** Stops and starts one child; its intensity is not charged. Also starts one that has ended. */
  restartChild(id: string): void;
  /** Stops one child for good, until `restartChild`. Resolves when it is gone. */
  stopChild(id: string): Promise<void>;
}

/**
 * Starts children in order (or all at once). Resolves when each has started or, with `startFailure: "exits"`,
 * has at least been tried.
 * @throws {AgentError} `RESTART_INTENSITY` when a child cannot start; those already started are stopped again.
 */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const live = new Map<string, RunningChild>();
  /** What the first start threw that failed, as it was thrown. */
  let thrown: { readonly error: unknown } | undefined;
  const actor = createActor(
    provide(
      options,
      live,
      (event) => actor.send(event),
      (error) => {
        thrown ??= { error };
      },
    ),
    {
      id: options.id,
      input: {
        strategy: options.strategy,
        intensity: options.intensity ?? defaultIntensity,
        backoff: options.backoff ?? defaultBackoff,
        startMode: options.startMode ?? "ordered",
        startFailure: options.startFailure ?? "fails",
        children: options.children.map((spec) => ({
          id: spec.id,
          restart: spec.restart ?? "permanent",
          shutdownMs: shutdownMsOf(spec),
        })),
      },
      ...(options.timers === undefined ? {} : { clock: simulatedClock(options.timers) }),
    },
  );
  const exited = createDeferred<ChildExit>();
  const started = createDeferred<void>();
  actor.subscribe({
    next: (snapshot) => {
      options.onChange?.();
      if (snapshot.value === "running") started.resolve();
      if (snapshot.status !== "done") return;
      started.resolve();
      exited.resolve(exitOf(snapshot));
    },
    error: (error) => {
      const record = toErrorRecord(error);
      options.log.error("supervisor.broken", { supervisor: options.id, error: record });
      started.reject(error);
      exited.resolve({ type: "abnormal", error: record });
    },
  });
  actor.start();
  await started.promise;
  const failure = actor.getSnapshot().context.error;
  if (!actor.getSnapshot().context.started && failure !== undefined) {
    const cause = thrown === undefined ? failure.cause : thrown.error;
    throw new AgentError(failure.code, failure.message, { cause });
  }
  return {
    id: options.id,
    exited: exited.promise,
    stop: async () => {
      if (actor.getSnapshot().status === "active") actor.send({ type: "supervisor.stop" });
      await exited.promise;
    },
    stopChild: async (id) => {
      actor.send({ type: "child.stop", id });
      // Bounded by the child's own shutdown time.
      await waitFor(actor, ({ context }) =>
        context.table.every((row) => row.id !== id || row.status === "ended"),
      );
    },
    restartChild: (id) => actor.send({ type: "child.restart", id }),
    view: () => viewOf(options, live, actor.getSnapshot()),
  };
}

type SupervisorSnapshot = SnapshotFrom<typeof supervisorMachine>;
type SendEvent = (
  event: Parameters<ReturnType<typeof createActor<typeof supervisorMachine>>["send"]>[0],
) => void;

/** The machine with its three effects; each reports back as an event, exactly once per start. */
function provide(
  options: SupervisorOptions,
  live: Map<string, RunningChild>,
  send: SendEvent,
  onStartError: (error: unknown) => void,
): typeof supervisorMachine {
  const { clock, log, id: supervisor } = options;
  const random = options.random ?? Math.random;
  const specs = new Map(options.children.map((spec) => [spec.id, spec]));
  const reportExit = (id: string, exit: ChildExit): void => {
    live.delete(id);
    if (exit.type === "abnormal") {
      log.warn("child.exited", { supervisor, child: id, error: exit.error });
    }
    send({ type: "child.exited", id, exit, nowMs: clock.monotonicMs(), random: random() });
  };
  const start = async (id: string): Promise<void> => {
    const spec = specs.get(id);
    if (spec === undefined) return;
    let child: RunningChild;
    try {
      child = await spec.start();
    } catch (error) {
      onStartError(error);
      reportExit(id, { type: "abnormal", error: toErrorRecord(error) });
      return;
    }
    live.set(id, child);
    send({ type: "child.started", id });
    const exit = await child.exited;
    // A child that was left behind has been reported already.
    if (live.get(id) === child) reportExit(id, exit);
  };
  const end = async (id: string, how: "stop" | "kill"): Promise<void> => {
    const child = live.get(id);
    if (child === undefined) return;
    if (how === "kill") log.warn("child.killed", { supervisor, child: id });
    try {
      if (how === "stop") await child.stop();
      else if (child.kill !== undefined) await child.kill();
      // Nothing can end it: the tree goes on without it rather than hang.
      else reportExit(id, { type: "normal" });
    } catch (error) {
      log.error("child.stop-failed", { supervisor, child: id, error: toErrorRecord(error) });
    }
  };
  // In their own microtask: a child may be a supervisor, and one actor must not run inside another's action.
  return supervisorMachine.provide({
    actions: {
      startChild: (_, { id }) => queueMicrotask(() => void start(id)),
      stopChild: (_, { id }) => queueMicrotask(() => void end(id, "stop")),
      killChild: (_, { id }) => queueMicrotask(() => void end(id, "kill")),
    },
  });
}

function shutdownMsOf(spec: ChildSpec): number {
  if (spec.shutdownMs !== undefined) return spec.shutdownMs;
  return spec.type === "supervisor" ? supervisorShutdownMs : workerShutdownMs;
}

function simulatedClock(timers: Timers) {
  return {
    setTimeout: (run: () => void, delayMs: number) => timers.setTimeout(run, delayMs),
    clearTimeout: (id: unknown) => timers.clearTimeout(id),
  };
}

function exitOf(snapshot: SupervisorSnapshot): ChildExit {
  const { error } = snapshot.context;
  return error === undefined ? { type: "normal" } : { type: "abnormal", error };
}

function viewOf(
  options: SupervisorOptions,
  live: ReadonlyMap<string, RunningChild>,
  snapshot: SupervisorSnapshot,
): TreeNode {
  const children = options.children.map((spec): TreeNode => {
    const row = snapshot.context.table.find((child) => child.id === spec.id);
    const own = live.get(spec.id)?.view?.();
    const status = row?.status ?? "ended";
    const restarts = row?.restarts ?? 0;
    if (own !== undefined) return { ...own, id: spec.id, status: own.status, restarts };
    const failed = status === "ended" && row?.lastError != null && row.goal === "up";
    return {
      id: spec.id,
      kind: spec.type ?? "worker",
      status: failed ? "failed" : status,
      restarts,
      children: [],
    };
  });
  return {
    id: options.id,
    kind: "supervisor",
    strategy: options.strategy,
    status: String(snapshot.value),
    restarts: snapshot.context.table.reduce((sum, row) => sum + row.restarts, 0),
    children,
  };
}
