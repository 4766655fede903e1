/**
 * Crash points: the places between two effects, by name. A node that is told one of them kills
 * itself there, as a loss of power would, so that a suite can try them all.
 *
 * Everything that a node does to the world goes through a handful of objects (the repos, the queue,
 * the agents), so those are wrapped, and only when a crash point was asked for: off, none of this is
 * between caller and repo. The types ask for a name for each of their methods, or for a `null` that
 * says that it only reads; a new effect does not compile without its crash point.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { writeSync } from "node:fs";
import type { Database } from "../../db/database.ts";
import type { CommittedRun, PendingEvent } from "../../db/turn-repo.ts";
import type { Json } from "../../machines/error-code.ts";

/** What a node does to the world, and what it learns from it. */
const effects = [
  "agent.call",
  "approval.open",
  "attempt.claim",
  "checkpoint.write",
  "errand.delete",
  "event.submit",
  "job.process",
  "mail.child",
  "mail.command",
  "mail.finished",
  "mail.lost",
  "mail.parent",
  "mail.read",
  "mail.started",
  "mail.stopped",
  "node.register",
  "node.release",
  "node.renew",
  "queue.add",
  "run.adopt",
  "run.claim",
  "run.park",
  "schedule.fire",
  "timer.commit",
  "turn.commit",
  "undo.commit",
] as const;

/** Effects of several statements: a crash between the last one and the commit leaves none of them. */
const transactions = ["child.insert", "run.insert", "run.promote"] as const;

export type Effect = (typeof effects)[number] | (typeof transactions)[number];
export type CrashPoint =
  | `${Effect}.${"before" | "after"}`
  | `${(typeof transactions)[number]}.uncommitted`
  | "job.acked";

/** All of them, in alphabetical order. */
export const crashPoints: readonly CrashPoint[] = [
  ...[...effects, ...transactions].flatMap((name) => [`${name}.before`, `${name}.after`] as const),
  ...transactions.map((name) => `${name}.uncommitted` as const),
  "job.acked" as const,
].toSorted();

/** Null: nothing happens in the world. */
type Names<T> = {
  readonly [K in keyof T]-?: T[K] extends (...given: infer A) => Promise<unknown>
    ? Effect | null | ((...given: A) => Effect)
    : null;
};

export interface CrashSwitch {
  /** Kills before and after the effects of `target`, which is a plain object of functions. */
  around<T extends object>(target: T, names: Names<T>): T;
  /** Kills between the last statement of a transaction and its commit. */
  inTransactions(db: Database): Database;
  reach(point: CrashPoint): void;
}

/** What every node has that was not told a crash point. */
export const noCrash: CrashSwitch = {
  around: (target) => target,
  inTransactions: (db) => db,
  reach: () => undefined,
};

/** The `nth` time that the point is reached, from 1. */
export interface CrashOrder {
  readonly point: CrashPoint;
  readonly nth: number;
}

/** Reads `turn.commit.before` or `turn.commit.before:3`; undefined when it is no such thing. */
export function parseCrashOrder(text: string): CrashOrder | undefined {
  const [name, nth = "1", ...rest] = text.split(":");
  const point = crashPoints.find((known) => known === name);
  if (point === undefined || !/^[1-9]\d{0,8}$/.test(nth) || rest.length > 0) return undefined;
  return { point, nth: Number(nth) };
}

export function createCrashSwitch(order: CrashOrder | undefined): CrashSwitch {
  if (order === undefined) return noCrash;
  const { nth, point: wanted } = order;
  const effect = new AsyncLocalStorage<Effect>();
  let reached = 0;

  function reach(point: CrashPoint): void {
    if (point !== wanted) return;
    reached += 1;
    if (reached !== nth) return;
    writeSync(2, `crash point ${point}:${nth}\n`);
    process.kill(process.pid, "SIGKILL");
  }

  return {
    reach,
    around: (target, names) => {
      const known = names as Readonly<
        Record<string, Effect | null | ((...given: never) => Effect)>
      >;
      const wrapped = Object.entries(target).map(([key, value]: [string, unknown]) => {
        const name = known[key] ?? null;
        if (typeof value !== "function" || name === null) return [key, value];
        const call = async (...given: unknown[]): Promise<unknown> => {
          const what = typeof name === "function" ? name(...(given as never)) : name;
          reach(`${what}.before`);
          const result: unknown = await effect.run(what, () => value(...given) as unknown);
          reach(`${what}.after`);
          return result;
        };
        return [key, call];
      });
      return Object.fromEntries(wrapped) as typeof target;
    },
    inTransactions: (db) =>
      new Proxy(db, {
        get: (of, key) => {
          if (key !== "transaction") return Reflect.get(of, key, of) as unknown;
          const transaction: Database["transaction"] = (work, config) =>
            of.transaction(async (tx) => {
              const result = await work(tx);
              const point = `${effect.getStore()}.uncommitted` as CrashPoint;
              reach(point);
              return result;
            }, config);
          return transaction;
        },
      }),
  };
}

/** A turn by what is special about it: it undoes a task, a timer fired, or neither. */
export function turnEffect(
  _: string,
  runs: readonly CommittedRun[],
  consumed: readonly PendingEvent[],
): Effect {
  if (runs.some(({ tasks }) => tasks.some(({ state }) => state.status === "compensating"))) {
    return "undo.commit";
  }
  return consumed.some(({ timerKey }) => timerKey !== null) ? "timer.commit" : "turn.commit";
}

/** Which effect it is to put an event into a run's mailbox. */
export function mailEffect(_: string, event: Json, dedupeKey: string): Effect {
  if (dedupeKey.startsWith("errand/")) return "mail.child";
  switch ((event as { readonly type?: unknown }).type) {
    case "child.finished":
      return "mail.parent";
    case "task.started":
      return "mail.started";
    case "task.finished":
      return "mail.finished";
    case "task.lost":
      return "mail.lost";
    case "task.stopped":
      return "mail.stopped";
    default:
      return "mail.command";
  }
}
