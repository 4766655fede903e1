/**
 * One attempt as the main thread sees it: from the request to an outcome, whatever the worker does.
 *
 * @module
 */

import type { AgentCallHooks, AgentOutcome, StopOrder } from "../../../actors/ports.ts";
import { AgentError, toErrorRecord } from "../../../machines/error-code.ts";
import type { AgentPorts } from "./host-methods.ts";
import { type ProgressWatch, watchProgress } from "./liveness.ts";
import type { OpenWorker } from "./open-worker.ts";
import type { AgentSummary } from "./start-agent-thread.ts";
import type { AttemptRequest } from "./thread-protocol.ts";

/** A task has a time limit of its own, which aborts it; this one is for a caller without any. */
const longestAttemptMs = 7 * 24 * 3_600_000;
/** A worker that does not hear an abort is ended by its grace period. */
const abortTimeoutMs = 10_000;

export interface AttemptHost {
  readonly agent: AgentSummary;
  readonly opened: OpenWorker;
  readonly ports: AgentPorts;
}

/** Never rejects. */
export async function runAttemptOver(
  host: AttemptHost,
  request: AttemptRequest,
  hooks: AgentCallHooks,
): Promise<AgentOutcome> {
  const { opened } = host;
  const what = `${request.call.agent}.${request.call.action}`;
  if (hooks.signal.aborted) return aborted(what, hooks.signal);
  const hang = new AbortController();
  const progress = watchAttempt(host, request, hang);
  const signal =
    progress === undefined ? hooks.signal : AbortSignal.any([hooks.signal, hang.signal]);
  const ending = endAtAbort(host, request, what, signal);
  opened.open.set(request.id, progress === undefined ? hooks : touching(hooks, progress));
  let outcome: AgentOutcome;
  try {
    const report = await opened.calls.within({ timeoutMs: longestAttemptMs }).run(request);
    await opened.applied(report.reported);
    outcome = report.outcome;
  } catch (error) {
    outcome = { type: "failed", error: toErrorRecord(error) };
  } finally {
    opened.open.delete(request.id);
    progress?.stop();
    ending.stop();
  }
  if (hooks.signal.aborted) return aborted(what, hooks.signal, outcome);
  return hang.signal.aborted ? hung(hang.signal.reason, outcome) : outcome;
}

function watchAttempt(
  { agent, opened }: AttemptHost,
  { call }: AttemptRequest,
  hang: AbortController,
): ProgressWatch | undefined {
  const timeoutMs = agent.capabilities[call.action]?.progressTimeoutMs;
  if (timeoutMs === undefined) return undefined;
  return watchProgress(timeoutMs, opened, () => {
    const message = `Cannot go on with ${call.agent}.${call.action}: it gave no sign of progress for ${timeoutMs} ms`;
    hang.abort(new AgentError("PROGRESS_TIMEOUT", message, { retryable: true }));
  });
}

/** A heartbeat and a checkpoint are signs of progress. */
function touching(hooks: AgentCallHooks, progress: ProgressWatch): AgentCallHooks {
  return {
    ...hooks,
    onHeartbeat: (report) => {
      progress.touch();
      hooks.onHeartbeat(report);
    },
    onCheckpoint: async (data) => {
      progress.touch();
      await hooks.onCheckpoint(data);
    },
  };
}

/** Asks the action to stop when the signal fires; after the grace period its worker is ended. */
function endAtAbort(
  { agent, opened, ports }: AttemptHost,
  request: AttemptRequest,
  what: string,
  signal: AbortSignal,
): { stop(): void } {
  /** Whoever aborts may give less time, or more. */
  const grace = (): number =>
    (signal.reason as Partial<StopOrder> | undefined)?.graceMs ?? request.graceMs;
  let timer: NodeJS.Timeout | undefined;
  const abort = (): void => {
    const calls = opened.calls.within({ timeoutMs: abortTimeoutMs });
    // A dead worker has settled the attempt already.
    void calls.abort(request.id, `${what} was aborted`).catch(() => undefined);
    const graceMs = grace();
    timer = setTimeout(() => {
      ports.log.warn("agent.terminated", { agent: agent.name, action: what, graceMs });
      const why = `${what} did not stop within ${graceMs} ms of its abort`;
      void opened.death.terminate({ why, code: "AGENT_STOPPED", kind: "hang" });
    }, graceMs);
  };
  signal.addEventListener("abort", abort, { once: true });
  return {
    stop: () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    },
  };
}

/** An aborted attempt has lost its right to report, whatever it did in the end. */
function aborted(what: string, signal: AbortSignal, ended?: AgentOutcome): AgentOutcome {
  const cause = ended?.type === "failed" ? ended.error : signal.reason;
  const error = new AgentError("ABORTED", `Cannot finish ${what}: it was aborted`, { cause });
  return { type: "failed", error: toErrorRecord(error) };
}

function hung(reason: AgentError, ended: AgentOutcome): AgentOutcome {
  // It may have come to its end at the last moment.
  if (ended.type === "succeeded") return ended;
  const { code, message } = reason;
  const error = new AgentError(code, message, { retryable: true, cause: ended.error });
  return { type: "failed", error: toErrorRecord(error) };
}
