/**
 * Fills the references of a task's input when an attempt starts: the handoff between tasks.
 *
 * @module
 */

import { AgentError, type Json } from "../../machines/error-code.ts";
import { asRef } from "./input-refs.ts";

/**
 * @param outputs Outputs of finished tasks; a reference to a task that is not in here (it was
 *   skipped) gives null.
 * @throws {AgentError} `INPUT_UNRESOLVED` when a path does not exist in the output that it names.
 */
export function resolveInput(
  template: unknown,
  params: Readonly<Record<string, Json>>,
  outputs: ReadonlyMap<string, Json>,
): Json {
  const reference = asRef(template);
  if (reference?.kind === "param") return params[reference.name] ?? null;
  if (reference?.kind === "output") {
    const output = outputs.get(reference.name);
    if (output === undefined) return null;
    return reference.path === undefined ? output : follow(output, reference.name, reference.path);
  }
  if (Array.isArray(template)) return template.map((item) => resolveInput(item, params, outputs));
  if (typeof template !== "object" || template === null) return (template ?? null) as Json;
  return Object.fromEntries(
    Object.entries(template).map(([key, value]) => [key, resolveInput(value, params, outputs)]),
  );
}

function follow(output: Json, task: string, path: string): Json {
  let value: Json | undefined = output;
  for (const step of path.split(".")) {
    const parent: Json | undefined = value;
    value =
      typeof parent === "object" && parent !== null && Object.hasOwn(parent, step)
        ? (parent as Readonly<Record<string, Json>>)[step]
        : undefined;
    if (value === undefined) {
      throw new AgentError(
        "INPUT_UNRESOLVED",
        `Cannot fill the input: the output of "${task}" has no "${path}"`,
      );
    }
  }
  return value;
}
