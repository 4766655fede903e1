/**
 * How a run enters: what its definition says about how many of its kind may be open.
 *
 * @module
 */

import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { RunEntry, RunNotStartedError } from "../../db/run-queue-repo.ts";
import type { Json } from "../../machines/error-code.ts";
import { keyText } from "../../machines/flow-options.ts";
import { resolve } from "../../machines/run/values.ts";
import { runPool } from "../../machines/start-policy.ts";

/** @throws {AgentError} `INPUT_UNRESOLVED` when the key reads an input that is not there. */
export function entryOf(definition: WorkflowDefinition, input: Json): { entry?: RunEntry } {
  const { concurrency, id } = definition;
  if (concurrency === undefined) return {};
  const value = resolve(concurrency.key ?? "", { input, output: () => undefined });
  return { entry: { pool: runPool(id, keyText(value)), concurrency } };
}

/** For whoever started it. */
export function notStartedMessage(
  { decision }: RunNotStartedError,
  { id, concurrency }: WorkflowDefinition,
): string {
  const limit = concurrency?.limit ?? 1;
  const open = decision.type === "skip" ? [decision.instead] : decision.open;
  return (
    `Cannot start workflow "${id}": ${limit} of its runs with this key may be open at once, and ` +
    `${open.join(", ")} ${open.length === 1 ? "is" : "are"}; wait for an end, or cancel one`
  );
}
