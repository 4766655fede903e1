/**
 * Runs a supervisor: an XState actor of `machines/supervisor.ts` with its effects provided.
 * Knows children only by their specs; it never looks into what they do.
 *
 * @module
 */

import { type ActorRefFrom, createActor, type SnapshotFrom, waitFor } from "xstate";
import {
  type ChildExit,
  type ChildFacts,
  type ChildRow,
  findRow,
  isLive,
} from "../../machines/child-table.ts";
import { createDeferred, type Deferred } from "../../machines/deferred.ts";
import { AgentError, toErrorRecord } from "../../machines/error-code.ts";
import type { AutoShutdown, Intensity, Strategy } from "../../machines/restart-policy.ts";
import { supervisorMachine } from "../../machines/supervisor.ts";
import type { Backoff } from "../../machines/supervisor-reactions.ts";
import type { Clock, Log } from "../ports.ts";
import {
  type ChildSpec,
  checkSpecs,
  type RunningChild,
  type TreeNode,
  type TreeServices,
} from "./child-spec.ts";
import { openRestartRecord, type RestartRecord } from "./restart-memory.ts";
import { abandonEnded, provideEffects, type SupervisorParts } from "./supervisor-effects.ts";
import { viewOf } from "./supervisor-view.ts";

const defaultIntensity: Intensity = { maxRestarts: 5, periodMs: 60_000 };
const defaultBackoff: Backoff = { initialMs: 50, maxMs: 5_000 };

/** Timers of the supervisor; tests pass a simulated one. */
export interface Timers {
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(id: unknown): void;
}

export interface SupervisorOptions {
  readonly id: string;
  readonly strategy: Strategy;
  /** Path from the root. Default `/id`: this is the root. */
  readonly address?: string;
  /** What the tree shares; children get it passed on. */
  readonly tree?: TreeServices;
  /** Default 5 restarts in 60 s; OTP's is `OTP_INTENSITY`. */
  readonly intensity?: Intensity;
  /** The first restart is at once; then 50 ms, doubling to 5 s until a healthy time, up to half of it random. */
  readonly backoff?: Backoff;
  /** Default `ordered`: each child starts when the one before it is ready; stop in reverse. */
  readonly startMode?: "ordered" | "parallel";
  /** Default `fails`, as in OTP. `exits`: a child that cannot start at first is restarted by the rules. */
  readonly startFailure?: "fails" | "exits";
  /** Default `never`. */
  readonly autoShutdown?: AutoShutdown;
  /** Children that have ended are forgotten, whatever their type; see `dynamic-supervisor.ts`. */
  readonly isDynamic?: boolean;
  readonly children: readonly ChildSpec[];
  readonly clock: Clock;
  readonly log: Log;
  readonly timers?: Timers;
  /** From 0 to 1, spreads restarts. Default `Math.random`. */
  readonly random?: () => number;
  /** Called after each change of the tree; must not throw. */
  readonly onChange?: () => void;
}

/** New rules for a supervisor that runs. Children that are not named keep theirs. */
export interface SpecChange {
  readonly strategy?: Strategy;
  readonly intensity?: Intensity;
  readonly backoff?: Backoff;
  readonly autoShutdown?: AutoShutdown;
  readonly children?: readonly ChildSpec[];
}

/** OTP's `count_children`. `active` are those that run. */
export interface ChildCounts {
  readonly specs: number;
  readonly active: number;
  readonly supervisors: number;
  readonly workers: number;
}

export interface Supervisor extends RunningChild {
  readonly id: string;
  readonly address: string;
  view(): TreeNode;
  /**
   * Adds a child and starts it. Resolves with undefined when its start was ignored.
   * @throws {AgentError} `CHILD_EXISTS`, `CHILD_SPECS_INVALID`, `SUPERVISOR_STOPPED`, or what its start
   * threw: then it is not added, and no restart is charged.
   */
  startChild(spec: ChildSpec): Promise<RunningChild | undefined>;
  /**
   * Stops and starts one child; its intensity is not charged. Also starts one that has ended.
   * @throws {AgentError} `CHILD_UNKNOWN`; `CHILD_RUNNING` for a temporary one.
   */
  restartChild(id: string): void;
  /** Stops one child for good, until `restartChild`; a temporary one is forgotten. Resolves when it is gone. */
  stopChild(id: string): Promise<void>;
  /** Forgets a child that has ended. @throws {AgentError} `CHILD_RUNNING`, `CHILD_UNKNOWN`. */
  deleteChild(id: string): void;
  /** In start order. */
  whichChildren(): readonly ChildRow[];
  countChildren(): ChildCounts;
  /** With all defaults filled in; undefined for an unknown one. */
  childSpec(id: string): ChildFacts | undefined;
  /**
   * Changes rules and specs in place (OTP `code_change`): running children go on, and are started by
   * their new spec the next time; new ones wait for `restartChild`.
   * @throws {AgentError} `CHILD_SPECS_INVALID`; then nothing has changed.
   */
  changeSpecs(change: SpecChange): void;
}

type Actor = ActorRefFrom<typeof supervisorMachine>;
type SupervisorSnapshot = SnapshotFrom<typeof supervisorMachine>;

/**
 * Starts children in order (or all at once). Resolves when each has started or, with `startFailure: "exits"`,
 * has at least been tried.
 * @throws {AgentError} `CHILD_SPECS_INVALID`; `RESTART_INTENSITY` when a child cannot start: those already
 * started are stopped again.
 */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const rules = withDefaults(options);
  const children = checkSpecs(options.id, rules, options.children);
  const address = options.address ?? `/${options.id}`;
  const parts: SupervisorParts = {
    options,
    address,
    tree: options.tree ?? {},
    specs: new Map(options.children.map((spec) => [spec.id, spec])),
    live: new Map(),
    asked: new Map(),
    forced: new Map(),
    expected: new Set(),
    thrown: undefined,
  };
  const actor = createSupervisorActor(parts, rules, children);
  const exited = createDeferred<ChildExit>();
  const started = createDeferred<void>();
  watch(actor, parts, started, exited);
  actor.start();
  await started.promise;
  const failure = actor.getSnapshot().context.error;
  if (!actor.getSnapshot().context.started && failure !== undefined) {
    const cause = parts.thrown === undefined ? failure.cause : parts.thrown.error;
    throw new AgentError(failure.code, failure.message, { cause });
  }
  return createHandle(parts, actor, exited.promise);
}

/** The rules with every default filled in. */
export function withDefaults(
  options: Pick<SupervisorOptions, "autoShutdown" | "backoff" | "intensity" | "strategy">,
) {
  const { autoShutdown = "never", backoff = defaultBackoff, strategy } = options;
  return { strategy, autoShutdown, backoff, intensity: options.intensity ?? defaultIntensity };
}

function createSupervisorActor(
  parts: SupervisorParts,
  rules: ReturnType<typeof withDefaults>,
  children: readonly ChildFacts[],
): Actor {
  const { options } = parts;
  const { timers } = options;
  const actor: Actor = createActor(
    provideEffects(parts, () => actor),
    {
      id: options.id,
      input: {
        ...rules,
        startMode: options.startMode ?? "ordered",
        startFailure: options.startFailure ?? "fails",
        isDynamic: options.isDynamic ?? false,
        children,
      },
      ...(timers === undefined ? {} : { clock: simulatedClock(timers) }),
    },
  );
  return actor;
}

function watch(
  actor: Actor,
  parts: SupervisorParts,
  started: Deferred<void>,
  exited: Deferred<ChildExit>,
): void {
  const { options } = parts;
  const record = remember(actor, parts);
  const unwatch = parts.tree.watch?.(actor, parts.address);
  const end = (exit: ChildExit): void => {
    unwatch?.();
    record?.close();
    for (const { reject } of parts.asked.values()) reject(stoppedError(options.id));
    parts.asked.clear();
    exited.resolve(exit);
  };
  actor.subscribe({
    next: (snapshot) => {
      if (snapshot.context.stopping) record?.close();
      else record?.note(snapshot.context.restartsMs, snapshot.context.table);
      abandonEnded(parts, snapshot.context.table);
      options.onChange?.();
      if (snapshot.value === "running") started.resolve();
      if (snapshot.status !== "done") return;
      started.resolve();
      end(exitOf(snapshot));
    },
    error: (error) => {
      const broken = toErrorRecord(error);
      options.log.error("supervisor.broken", { supervisor: options.id, error: broken });
      started.reject(error);
      end({ type: "abnormal", error: broken });
    },
  });
}

function remember(actor: Actor, { address, options, tree }: SupervisorParts) {
  if (tree.memory === undefined) return undefined;
  const record: RestartRecord = openRestartRecord({
    address,
    memory: tree.memory,
    clock: options.clock,
    log: options.log,
    onRestored: (restarts) => {
      if (isActive(actor)) actor.send({ type: "restarts.restored", ...restarts });
    },
  });
  return record;
}

function createHandle(
  parts: SupervisorParts,
  actor: Actor,
  exited: Promise<ChildExit>,
): Supervisor {
  const { address, options, specs } = parts;
  const table = () => actor.getSnapshot().context.table;
  const required = (id: string): ChildRow => {
    const row = findRow(table(), id);
    if (row !== undefined) return row;
    const ids = table().map((child) => child.id);
    throw new AgentError(
      "CHILD_UNKNOWN",
      `Cannot find child "${id}" of supervisor "${options.id}": there are ${ids.slice(0, 50).join(", ") || "none"}`,
    );
  };
  return {
    id: options.id,
    address,
    exited,
    stop: async () => {
      if (isActive(actor)) actor.send({ type: "supervisor.stop" });
      await exited;
    },
    startChild: (spec) => startChild(parts, actor, spec),
    stopChild: async (id) => {
      required(id);
      actor.send({ type: "child.stop", id });
      // Bounded by the child's own shutdown time.
      await waitFor(
        actor,
        ({ context }) => (findRow(context.table, id)?.status ?? "ended") === "ended",
      );
    },
    restartChild: (id) => {
      const row = required(id);
      if (row.restart === "temporary") {
        const message = `Cannot restart child "${id}" of "${options.id}": it is temporary, so its start is not kept; stop it and start another`;
        throw new AgentError("CHILD_RUNNING", message);
      }
      actor.send({ type: "child.restart", id });
    },
    deleteChild: (id) => {
      const row = required(id);
      if (row.status !== "ended") {
        const message = `Cannot delete child "${id}" of "${options.id}": it is ${row.status}; stop it first`;
        throw new AgentError("CHILD_RUNNING", message);
      }
      specs.delete(id);
      actor.send({ type: "child.delete", id });
    },
    whichChildren: table,
    countChildren: () => countOf(table()),
    childSpec: (id) => factsOfRow(findRow(table(), id)),
    changeSpecs: (change) => changeSpecs(parts, actor, change),
    view: () => viewOf(parts, actor.getSnapshot()),
  };
}

async function startChild(
  { asked, options, specs }: SupervisorParts,
  actor: Actor,
  spec: ChildSpec,
): Promise<RunningChild | undefined> {
  const { context } = actor.getSnapshot();
  if (!isActive(actor) || context.stopping) throw stoppedError(options.id);
  const [child] = checkSpecs(options.id, context, [spec]);
  if (child === undefined) return undefined;
  const known = findRow(context.table, child.id);
  if (known !== undefined) {
    const how = isLive(known) ? "it runs already" : "restart or delete it";
    const message = `Cannot start child "${spec.id}" of "${options.id}": there is one that is ${known.status}; ${how}`;
    throw new AgentError("CHILD_EXISTS", message);
  }
  const answer = createDeferred<RunningChild | undefined>();
  specs.set(spec.id, spec);
  asked.set(spec.id, answer);
  actor.send({ type: "child.add", child });
  return await answer.promise;
}

function changeSpecs({ options, specs }: SupervisorParts, actor: Actor, change: SpecChange): void {
  const { context } = actor.getSnapshot();
  const { children, ...rules } = change;
  // As in OTP, who is not named is not judged by the new rules: it was right by those of its start.
  const facts = checkSpecs(options.id, { ...context, ...rules }, children ?? []);
  for (const spec of children ?? []) specs.set(spec.id, spec);
  actor.send({
    type: "specs.changed",
    ...rules,
    ...(children === undefined ? {} : { children: facts }),
  });
}

function countOf(rows: readonly ChildRow[]): ChildCounts {
  const supervisors = rows.filter(({ type }) => type === "supervisor").length;
  return {
    specs: rows.length,
    active: rows.filter(({ status }) => status === "running" || status === "stopping").length,
    supervisors,
    workers: rows.length - supervisors,
  };
}

function factsOfRow(row: ChildRow | undefined): ChildFacts | undefined {
  if (row === undefined) return undefined;
  const { id, restart, shutdown, significant, type } = row;
  return { id, restart, shutdown, significant, type };
}

function isActive(actor: Actor): boolean {
  return actor.getSnapshot().status === "active";
}

function simulatedClock(timers: Timers) {
  return {
    setTimeout: (run: () => void, delayMs: number) => timers.setTimeout(run, delayMs),
    clearTimeout: (id: unknown) => timers.clearTimeout(id),
  };
}

/** A supervisor that gives up has stopped its children in order: `shutdown`, as in OTP, and why. */
function exitOf({ context }: SupervisorSnapshot): ChildExit {
  if (context.error !== undefined) return { type: "shutdown", error: context.error };
  return context.isAutoShutdown ? { type: "shutdown" } : { type: "normal" };
}

function stoppedError(id: string): AgentError {
  return new AgentError("SUPERVISOR_STOPPED", `Cannot start a child of "${id}": it is stopping`);
}
