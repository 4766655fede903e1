/**
 * Runs attempts that a thread has died of before, each in a worker of its own: whoever shares the
 * agent's own thread is not hurt again, and the next death is certainly theirs.
 *
 * @module
 */

import type { AgentOutcome } from "../../../actors/ports.ts";
import { AgentError, toErrorRecord } from "../../../machines/error-code.ts";
import type { End } from "./death.ts";
import type { AgentThread } from "./start-agent-thread.ts";

export interface Ward {
  /** One at a time for each agent; never rejects. */
  run(attempt: (thread: AgentThread) => Promise<AgentOutcome>): Promise<AgentOutcome>;
  /** The worker that runs an attempt now. */
  thread(): AgentThread | undefined;
  /** Stops the worker in its time, and refuses those that wait for one. Later ones are taken again. */
  empty(): Promise<void>;
}

/** @param onEnd Called when a worker of the ward died by itself. */
export function createWard(start: () => Promise<AgentThread>, onEnd: (end: End) => void): Ward {
  let last: Promise<unknown> = Promise.resolve();
  let current: AgentThread | undefined;
  let emptied = 0;
  const runOne = async (
    attempt: (thread: AgentThread) => Promise<AgentOutcome>,
    since: number,
  ): Promise<AgentOutcome> => {
    try {
      if (since !== emptied) throw stopped();
      const thread = await start();
      current = thread;
      void thread.ended.then((end) => {
        if (end.kind !== undefined) onEnd(end);
      });
      if (since !== emptied) {
        await thread.stop();
        throw stopped();
      }
      const outcome = await attempt(thread);
      await thread.stop();
      return outcome;
    } catch (error) {
      return { type: "failed", error: toErrorRecord(error) };
    } finally {
      current = undefined;
    }
  };
  return {
    run: (attempt) => {
      const since = emptied;
      const outcome = last.then(() => runOne(attempt, since));
      last = outcome;
      return outcome;
    },
    thread: () => current,
    empty: async () => {
      emptied += 1;
      await current?.stop();
      await last;
    },
  };
}

function stopped(): AgentError {
  const message = "Cannot run in a worker of its own: the agent was stopped";
  return new AgentError("AGENT_UNAVAILABLE", message, { retryable: true });
}
