/**
 * Applies what waits for one run to a turn, and answers the commands among it.
 *
 * @module
 */

import type { Log } from "../../actors/ports.ts";
import type { PendingEvent } from "../../db/turn-repo.ts";
import { toErrorRecord } from "../../machines/error-code.ts";
import { answerOf, type CommandAnswer, refusalOf, refused } from "../../machines/run/command.ts";
import type { RunEvent } from "../../machines/run/state.ts";
import { beginTurn, type Turn } from "../../machines/run/turn.ts";
import type { OwnedRun } from "./owned-run.ts";

export interface AppliedMail {
  readonly turn: Turn;
  /** By key of the command. */
  readonly answers: ReadonlyMap<string, CommandAnswer>;
}

/** Key of the command that an event is, if it is one. */
export function commandOf({ event }: Pick<PendingEvent, "event">): string | undefined {
  const { command } = event as { readonly command?: string };
  return command;
}

/**
 * An event for a task that the run does not have, and a command that fails, are dropped whole: the
 * others are applied to a fresh turn.
 *
 * @throws {Error} What the rules threw for any other event: a mistake of ours, which must lose nothing.
 */
export function applyMail(
  run: OwnedRun,
  mail: readonly PendingEvent[],
  random: () => number,
  log: Log,
): AppliedMail {
  const dropped = new Map<PendingEvent, unknown>();
  for (;;) {
    const left = mail.filter((entry) => !dropped.has(entry));
    const tried = tryAll(run, left, random);
    if (tried.type === "applied") {
      for (const [entry, error] of dropped) {
        const command = commandOf(entry);
        if (command === undefined) continue;
        const { message } = toErrorRecord(error);
        const refusal = { code: "CONFLICT", message: `Cannot apply the command: ${message}` };
        tried.answers.set(
          command,
          refused(
            tried.turn.run(),
            tried.turn.inFlight(),
            refusal as { code: "CONFLICT"; message: string },
          ),
        );
      }
      return tried;
    }
    const isUnknown = (tried.error as { code?: unknown } | null)?.code === "TASK_UNKNOWN";
    if (!isUnknown && commandOf(tried.entry) === undefined) throw tried.error;
    dropped.set(tried.entry, tried.error);
    log.error("workflow engine: dropped an event that cannot be applied", {
      workflowId: run.id,
      event: tried.entry.event,
      error: String(tried.error),
    });
  }
}

type Tried =
  | { readonly type: "applied"; readonly turn: Turn; readonly answers: Map<string, CommandAnswer> }
  | { readonly type: "threw"; readonly entry: PendingEvent; readonly error: unknown };

function tryAll(run: OwnedRun, mail: readonly PendingEvent[], random: () => number): Tried {
  const turn = beginTurn(run.state, run.plan, random);
  const answers = new Map<string, CommandAnswer>();
  for (const entry of mail) {
    const event = { ...(entry.event as object), atMs: entry.atMs } as RunEvent;
    const command = commandOf(entry);
    try {
      if (command === undefined) turn.apply(event, entry.timerKey ?? undefined);
      else answers.set(command, obey(run, turn, event));
    } catch (error) {
      return { type: "threw", entry, error };
    }
  }
  return { type: "applied", turn, answers };
}

function obey(run: OwnedRun, turn: Turn, event: RunEvent): CommandAnswer {
  const refusal = refusalOf(event, { plan: run.plan, run: turn.run, task: turn.task });
  if (refusal !== null) return refused(turn.run(), turn.inFlight(), refusal);
  const from = turn.journal().length;
  turn.apply(event);
  return answerOf(event, turn.run(), turn.inFlight(), turn.journal().slice(from));
}
