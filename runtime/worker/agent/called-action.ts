/**
 * An action as it is called: its input is parsed, its output is parsed and must be JSON.
 *
 * @module
 */

import type { AgentDefinition, Capability } from "../../../actors/define-agent.ts";
import type { AgentCall, AgentContext } from "../../../actors/ports.ts";
import { AgentError, type Json } from "../../../machines/error-code.ts";
import { checkJson } from "../../../machines/json.ts";

const maxOutputBytes = 1_024 * 1_024;

type CalledAction = Pick<AgentCall, "agent" | "action">;

/** @throws {AgentError} `ACTION_UNKNOWN` */
export function capabilityOf(definition: AgentDefinition, action: string): Capability {
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

/** @throws {AgentError} `COMPENSATION_UNKNOWN` */
export async function compensate(
  capability: Capability,
  { agent, action }: CalledAction,
  ctx: AgentContext,
  input: unknown,
): Promise<null> {
  if (capability.compensate === undefined) {
    throw new AgentError(
      "COMPENSATION_UNKNOWN",
      `Cannot undo ${agent}.${action}: it declares no compensation`,
    );
  }
  await capability.compensate(ctx, input);
  return null;
}

/** @throws {AgentError} `INPUT_INVALID` */
export async function parseInput(
  capability: Capability,
  { agent, action }: CalledAction,
  input: Json,
): Promise<unknown> {
  const parsed = await capability.input.safeParseAsync(input);
  if (parsed.success) return parsed.data;
  throw new AgentError(
    "INPUT_INVALID",
    `Cannot run ${agent}.${action}: its input is invalid: ${describe(parsed.error.issues)}`,
  );
}

/** @throws {AgentError} `OUTPUT_INVALID`, `OUTPUT_TOO_LARGE` */
export async function parseOutput(
  capability: Capability,
  { agent, action }: CalledAction,
  result: unknown,
): Promise<Json> {
  const name = `${agent}.${action}`;
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
