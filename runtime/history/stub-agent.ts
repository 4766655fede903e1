/**
 * Tasks of a fork that are not run again: they take what the run that it was forked from recorded.
 *
 * @module
 */

import type { AgentCall, AgentCallHooks, AgentOutcome } from "../../actors/ports.ts";
import type { StubRepo } from "../../db/history-repo.ts";

/** Runs that are no forks cost no query. */
export const forkIdPrefix = "fork-";

type RunAgent = (call: AgentCall, hooks: AgentCallHooks) => Promise<AgentOutcome>;

export function withStubs(stubs: StubRepo, runAgent: RunAgent): RunAgent {
  return async (call, hooks) => {
    if (call.undo === true || !call.workflowId.startsWith(forkIdPrefix)) {
      return await runAgent(call, hooks);
    }
    const recorded = await stubs.recorded(call.workflowId, call.taskKey);
    if (recorded.type === "real") return await runAgent(call, hooks);
    if (recorded.type === "recorded") return { type: "succeeded", output: recorded.output };
    const message = `Cannot stub "${call.taskKey}": what run "${recorded.from}" recorded is gone`;
    const error = { name: "Error", code: "STUB_MISSING", message, retryable: false };
    return { type: "failed", error };
  };
}
