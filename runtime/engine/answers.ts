/**
 * Who waits for what turns answer to commands.
 *
 * @module
 */

import type { CommandAnswer } from "../../machines/run/command.ts";

export interface Answers {
  /** Resolves once a turn of this node has answered the command; never after `signal` aborts. */
  answered(workflowId: string, command: string, signal: AbortSignal): Promise<CommandAnswer>;
  /** Tells them; by key of the command. */
  settle(workflowId: string, answers: ReadonlyMap<string, CommandAnswer>): void;
}

export function createAnswers(): Answers {
  const waiters = new Map<string, Set<(answer: CommandAnswer) => void>>();
  return {
    answered: (workflowId, command, signal) =>
      new Promise((resolve) => {
        const id = `${workflowId}/${command}`;
        const all = waiters.get(id) ?? new Set();
        waiters.set(id, all.add(resolve));
        const leave = (): void => {
          all.delete(resolve);
          if (all.size === 0) waiters.delete(id);
        };
        signal.addEventListener("abort", leave, { once: true });
      }),
    settle: (workflowId, answers) => {
      for (const [key, answer] of answers) {
        for (const answered of waiters.get(`${workflowId}/${key}`) ?? []) answered(answer);
      }
    },
  };
}
