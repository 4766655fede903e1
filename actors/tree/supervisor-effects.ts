/**
 * The effects of `machines/supervisor.ts`: starts, stops and kills children, and reports each start
 * back as exactly one event, and each end as one more.
 *
 * @module
 */

import type { ActorRefFrom } from "xstate";
import { type ChildExit, type ChildTable, findRow } from "../../machines/child-table.ts";
import type { Deferred } from "../../machines/deferred.ts";
import { toErrorRecord } from "../../machines/error-code.ts";
import type { Verdict } from "../../machines/restart-policy.ts";
import { supervisorMachine } from "../../machines/supervisor.ts";
import type { ChildSpec, RunningChild, TreeServices } from "./child-spec.ts";
import type { SupervisorOptions } from "./supervisor.ts";

/** What the shell of one supervisor holds. */
export interface SupervisorParts {
  readonly options: SupervisorOptions;
  readonly address: string;
  readonly tree: TreeServices;
  readonly specs: Map<string, ChildSpec>;
  readonly live: Map<string, RunningChild>;
  /** Who waits for a child that `startChild` added. */
  readonly asked: Map<string, Deferred<RunningChild | undefined>>;
  /** How a child counts as ended that a link has ended, whatever it says itself. */
  readonly forced: Map<string, ChildExit>;
  /** Children that the directory expects back. */
  readonly expected: Set<string>;
  /** What the first start threw that failed, as it was thrown. */
  thrown: { readonly error: unknown } | undefined;
}

type Actor = ActorRefFrom<typeof supervisorMachine>;

export function provideEffects(
  parts: SupervisorParts,
  actor: () => Actor,
): typeof supervisorMachine {
  const { tree } = parts;
  // In their own microtask: a child may be a supervisor, and one actor must not run inside another's action.
  return supervisorMachine.provide({
    actions: {
      startChild: (_, { id }) => queueMicrotask(() => void start(parts, actor(), id)),
      stopChild: (_, { id }) => queueMicrotask(() => void end(parts, actor(), id, "stop")),
      killChild: (_, { id }) => queueMicrotask(() => void end(parts, actor(), id, "kill")),
      chargeBudget: (_, { nowMs }) => tree.budget?.charge(nowMs),
    },
  });
}

async function start(parts: SupervisorParts, actor: Actor, id: string): Promise<void> {
  const { asked, live, options, specs, tree } = parts;
  const spec = specs.get(id);
  if (spec === undefined) return;
  const address = `${parts.address}/${id}`;
  const answer = asked.get(id);
  parts.expected.delete(id);
  tree.directory?.awaiting(address);
  let child: RunningChild | "ignore";
  try {
    child = await spec.start({ address, tree });
  } catch (error) {
    parts.thrown ??= { error };
    asked.delete(id);
    answer?.reject(error);
    reportExit(parts, actor, id, { type: "abnormal", error: toErrorRecord(error) });
    return;
  }
  asked.delete(id);
  if (child === "ignore") {
    answer?.resolve(undefined);
    tree.directory?.down(address, { type: "normal" }, "gone");
    actor.send({ type: "child.ignored", id });
    forgetSpec(parts, actor, id);
    return;
  }
  live.set(id, child);
  // Never started again: what its start holds may go now. Source: OTP saves no parameters of it.
  if (spec.restart === "temporary") specs.delete(id);
  const { receive } = child;
  const running = child;
  tree.directory?.up(address, {
    end: (reason) => void endLinked(parts, id, running, reason),
    receive: receive === undefined ? undefined : (event) => receive.call(running, event),
  });
  actor.send({ type: "child.started", id, nowMs: options.clock.monotonicMs() });
  answer?.resolve(child);
  void follow(parts, actor, id, child);
}

/** A function of its own: while it waits it must not hold what the child was started with. */
async function follow(
  parts: SupervisorParts,
  actor: Actor,
  id: string,
  child: RunningChild,
): Promise<void> {
  const exit = await child.exited;
  // A child that was left behind has been reported already.
  if (parts.live.get(id) === child) reportExit(parts, actor, id, exit);
}

function reportExit(parts: SupervisorParts, actor: Actor, id: string, said: ChildExit): void {
  const { forced, live, options, tree } = parts;
  const { clock, log, id: supervisor } = options;
  const exit = forced.get(id) ?? said;
  const wasUp = live.has(id);
  forced.delete(id);
  live.delete(id);
  if (exit.type === "abnormal") {
    log.warn("child.exited", { supervisor, child: id, error: exit.error });
  }
  const nowMs = clock.monotonicMs();
  const before = findRow(actor.getSnapshot().context.table, id);
  const isWanted = before?.goal !== "up";
  actor.send({
    type: "child.exited",
    id,
    exit,
    nowMs,
    random: (options.random ?? Math.random)(),
    verdict: verdictOf(parts, id, exit),
    budgetLeft: tree.budget?.isLeft(nowMs) ?? true,
  });
  const after = actor.getSnapshot().context;
  const status = findRow(after.table, id)?.status ?? "ended";
  // Who was told to stop has not ended because its work is done.
  const known: ChildExit = isWanted && exit.type === "normal" ? { type: "shutdown" } : exit;
  const next = status === "ended" ? "gone" : "restarts";
  forgetSpec(parts, actor, id);
  tree.directory?.down(`${parts.address}/${id}`, known, next);
  if (next === "restarts") parts.expected.add(id);
  // Whoever starts a supervisor, or a further child, is told of that start's failure.
  const isTold = before?.isNew === true || (!after.started && after.error !== undefined);
  if (isWanted || isTold || exit.type === "normal" || exit.error === undefined) return;
  tree.incidents?.record({
    address: `${parts.address}/${id}`,
    // The start that has ended; the first one is 1.
    incarnation: (before?.restarts ?? 0) + 1,
    kind: exit.type === "shutdown" ? "gave-up" : wasUp ? "crash" : "start-failed",
    action:
      next === "restarts" ? "restarted" : after.error === undefined ? "terminated" : "gave-up",
    error: exit.error,
    detail: { supervisor: parts.address },
  });
}

/** Tells the directory of children that were to restart and will not: somebody has stopped them. */
export function abandonEnded(parts: SupervisorParts, table: ChildTable): void {
  for (const id of parts.expected) {
    if ((findRow(table, id)?.status ?? "ended") !== "ended") continue;
    parts.expected.delete(id);
    parts.tree.directory?.abandon(`${parts.address}/${id}`);
  }
}

/** A child that left the table is not started again: what its start holds may go. */
function forgetSpec({ specs }: SupervisorParts, actor: Actor, id: string): void {
  if (findRow(actor.getSnapshot().context.table, id) === undefined) specs.delete(id);
}

function verdictOf({ options, specs }: SupervisorParts, id: string, exit: ChildExit): Verdict {
  if (exit.type !== "abnormal") return "restart";
  try {
    return specs.get(id)?.onError?.(exit.error) ?? "restart";
  } catch (error) {
    const record = toErrorRecord(error);
    options.log.error("child.rule-failed", { supervisor: options.id, child: id, error: record });
    return "restart";
  }
}

async function end(
  parts: SupervisorParts,
  actor: Actor,
  id: string,
  how: "stop" | "kill",
): Promise<void> {
  const { live, options } = parts;
  const { log, id: supervisor } = options;
  const child = live.get(id);
  if (child === undefined) return;
  if (how === "kill") log.warn("child.killed", { supervisor, child: id });
  try {
    if (how === "stop") await child.stop();
    else if (child.kill !== undefined) await child.kill();
    // Nothing can end it: the tree goes on without it rather than hang.
    else reportExit(parts, actor, id, { type: "normal" });
  } catch (error) {
    log.error("child.stop-failed", { supervisor, child: id, error: toErrorRecord(error) });
  }
}

async function endLinked(
  { forced, live, options }: SupervisorParts,
  id: string,
  child: RunningChild,
  reason: ChildExit,
): Promise<void> {
  if (live.get(id) !== child) return;
  forced.set(id, reason);
  try {
    await (child.kill === undefined ? child.stop() : child.kill());
  } catch (error) {
    const record = toErrorRecord(error);
    options.log.error("child.stop-failed", { supervisor: options.id, child: id, error: record });
  }
}
