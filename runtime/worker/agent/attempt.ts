/**
 * Runs one attempt of a capability inside the agent's thread and says how it ended.
 *
 * @module
 */

import type { AgentDefinition, Capability } from "../../../actors/define-agent.ts";
import type { AgentOutcome } from "../../../actors/ports.ts";
import { AgentError, type Json, toErrorRecord } from "../../../machines/error-code.ts";
import { checkJson } from "../../../machines/json.ts";
import { permissionDenied } from "../permissions/permission-denied.ts";
import { type AttemptContext, openAttemptContext, type WorkerServices } from "./attempt-context.ts";
import type { AttemptRequest } from "./thread-protocol.ts";

const maxOutputBytes = 1_024 * 1_024;

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
    const capability = capabilityOf(definition, request.call.action);
    const input = await parseInput(capability, request);
    context = await openAttemptContext(request, capability.connections, signal, services);
    const output =
      request.operation === "run"
        ? await parseOutput(capability, request, await capability.run(context.ctx, input))
        : await compensate(capability, request, context, input);
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

function capabilityOf(definition: AgentDefinition, action: string): Capability {
  const capability = Object.hasOwn(definition.capabilities, action)
    ? definition.capabilities[action]
    : undefined;
  if (capability !== undefined) return capability;
  const actions = Object.keys(definition.capabilities).join(", ");
  throw new AgentError(
    "ACTION_UNKNOWN",
    `Cannot run "${action}": ${definition.name} has no such action, it has: ${actions}`,
  );
}

async function compensate(
  capability: Capability,
  request: AttemptRequest,
  context: AttemptContext,
  input: unknown,
): Promise<null> {
  const { agent, action } = request.call;
  if (capability.compensate === undefined) {
    throw new AgentError(
      "COMPENSATION_UNKNOWN",
      `Cannot undo ${agent}.${action}: it declares no compensation`,
    );
  }
  await capability.compensate(context.ctx, input);
  return null;
}

async function parseInput(capability: Capability, { call }: AttemptRequest): Promise<unknown> {
  const parsed = await capability.input.safeParseAsync(call.input);
  if (parsed.success) return parsed.data;
  throw new AgentError(
    "INPUT_INVALID",
    `Cannot run ${call.agent}.${call.action}: its input is invalid: ${describe(parsed.error.issues)}`,
  );
}

async function parseOutput(
  capability: Capability,
  { call }: AttemptRequest,
  result: unknown,
): Promise<Json> {
  const name = `${call.agent}.${call.action}`;
  const parsed = await capability.output.safeParseAsync(result);
  if (!parsed.success) {
    throw new AgentError(
      "OUTPUT_INVALID",
      `Cannot record the output of ${name}: ${describe(parsed.error.issues)}`,
    );
  }
  const checked = checkJson(parsed.data);
  if (checked.type === "not-json") {
    throw new AgentError(
      "OUTPUT_INVALID",
      `Cannot record the output of ${name}: ${checked.path || "/"} is ${checked.found}, must be JSON`,
    );
  }
  const sizeBytes = Buffer.byteLength(JSON.stringify(checked.value));
  if (sizeBytes > maxOutputBytes) {
    throw new AgentError(
      "OUTPUT_TOO_LARGE",
      `Cannot record the output of ${name}: ${sizeBytes} bytes of JSON, at most ${maxOutputBytes} are kept`,
    );
  }
  return checked.value;
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Each issue as `/path: message`, the first ten. */
function describe(issues: readonly Issue[]): string {
  const shown = issues.slice(0, 10).map(({ path, message }) => {
    const pointer = path.map((key) => `/${String(key)}`).join("");
    return `${pointer === "" ? "/" : pointer}: ${message}`;
  });
  return shown.join("; ");
}
