/**
 * Runs attempts that a thread has died of before, each in a worker of its own: whoever shares the
 * agent's own thread is not hurt again, and the next death is certainly theirs.
 *
 * @module
 */

import type { AgentOutcome } from "../../../actors/ports.ts";
import { toErrorRecord } from "../../../machines/error-code.ts";
import type { End } from "./death.ts";
import type { AgentThread } from "./start-agent-thread.ts";

export interface Ward {
  /** One at a time for each agent; never rejects. */
  run(attempt: (thread: AgentThread) => Promise<AgentOutcome>): Promise<AgentOutcome>;
}

/** @param onEnd Called when a worker of the ward died by itself. */
export function createWard(start: () => Promise<AgentThread>, onEnd: (end: End) => void): Ward {
  let last: Promise<unknown> = Promise.resolve();
  const runOne = async (
    attempt: (thread: AgentThread) => Promise<AgentOutcome>,
  ): Promise<AgentOutcome> => {
    try {
      const thread = await start();
      void thread.ended.then((end) => {
        if (end.kind !== undefined) onEnd(end);
      });
      const outcome = await attempt(thread);
      await thread.stop();
      return outcome;
    } catch (error) {
      return { type: "failed", error: toErrorRecord(error) };
    }
  };
  return {
    run: (attempt) => {
      const outcome = last.then(() => runOne(attempt));
      last = outcome;
      return outcome;
    },
  };
}
