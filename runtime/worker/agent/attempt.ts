/**
 * Runs one attempt of a capability inside the agent's thread and says how it ended.
 *
 * @module
 */

import type { AgentDefinition } from "../../../actors/define-agent.ts";
import type { AgentOutcome } from "../../../actors/ports.ts";
import { AgentError, toErrorRecord } from "../../../machines/error-code.ts";
import { permissionDenied } from "../permissions/permission-denied.ts";
import { type AttemptContext, openAttemptContext, type WorkerServices } from "./attempt-context.ts";
import { capabilityOf, compensate, parseInput, parseOutput } from "./called-action.ts";
import type { AttemptRequest } from "./thread-protocol.ts";

/** Never rejects. */
export async function runAttempt(
  definition: AgentDefinition,
  request: AttemptRequest,
  signal: AbortSignal,
  services: WorkerServices,
): Promise<AgentOutcome> {
  let context: AttemptContext | undefined;
  const spent = () => {
    const totals = context?.spent();
    return totals === undefined ? {} : { spent: totals };
  };
  try {
    const { call } = request;
    const capability = capabilityOf(definition, call.action);
    const input = await parseInput(capability, call, call.input);
    context = await openAttemptContext(request, capability.connections, signal, services);
    const output =
      request.operation === "run"
        ? await parseOutput(capability, call, await capability.run(context.ctx, input))
        : await compensate(capability, call, context.ctx, input);
    return { type: "succeeded", output, ...spent() };
  } catch (error) {
    return {
      type: "failed",
      error: toErrorRecord(
        diskFull(request, error) ?? permissionDenied(request.call, error) ?? error,
      ),
      ...spent(),
    };
  } finally {
    await endQuietly(context, services);
  }
}

/** A full disk can hit any action; it is said in words that tell what to do. */
function diskFull({ call }: AttemptRequest, error: unknown): AgentError | undefined {
  if ((error as NodeJS.ErrnoException | undefined)?.code !== "ENOSPC") return undefined;
  return new AgentError(
    "DISK_FULL",
    `Cannot finish ${call.agent}.${call.action}: the disk of the data folder is full; free some space and retry`,
    { retryable: true, cause: error },
  );
}

/** What an attempt returned is decided by then: a client that does not close is only logged. */
async function endQuietly(
  context: AttemptContext | undefined,
  services: WorkerServices,
): Promise<void> {
  try {
    await context?.end();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    services.reporter.report("log", {
      level: "warn",
      message: "sql.end-failed",
      fields: { message },
    });
  }
}
