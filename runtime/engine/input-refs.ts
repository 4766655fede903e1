/**
 * The references inside a task's `with`: to inputs of the workflow, and to outputs of other tasks.
 *
 * @module
 */

interface InputRef {
  readonly kind: "param" | "output";
  readonly name: string;
  readonly path: string | undefined;
}

/** The reference that `value` is, if it is one. */
export function asRef(value: unknown): InputRef | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { $param, $output, path } = value as Record<string, unknown>;
  if (typeof $param === "string") return { kind: "param", name: $param, path: undefined };
  if (typeof $output === "string") {
    return { kind: "output", name: $output, path: typeof path === "string" ? path : undefined };
  }
  return undefined;
}

/** All references inside a task's `with`, however deep. */
export function refsOf(value: unknown): InputRef[] {
  const reference = asRef(value);
  if (reference !== undefined) return [reference];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(refsOf);
}
