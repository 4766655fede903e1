/**
 * Values that are filled in while a run goes on: references to inputs, outputs, items, the chart's
 * context and its events; and conditions over them. All of it is data, so that a definition stays JSON.
 *
 * @module
 */

import { AgentError, type Json } from "../error-code.ts";

/** What references can see. A source that does not apply is left out. */
export interface Scope {
  readonly input: Json;
  /** Output of a finished task; undefined when it has none (skipped, or not finished). */
  output(task: string): Json | undefined;
  readonly item?: Json;
  readonly index?: number;
  readonly context?: Json;
  readonly event?: Json;
}

export type RefKind = "param" | "output" | "item" | "index" | "context" | "event";

export interface InputRef {
  readonly kind: RefKind;
  /** Name of the input or of the task; empty for the others. */
  readonly name: string;
  /** Dotted, as in `profile.messages`. */
  readonly path: string | undefined;
}

/** A comparison, a combination of them, or a reference, which is true unless it is null, false, 0 or "". */
export type Condition =
  | { readonly $eq: readonly [unknown, unknown] }
  | { readonly $ne: readonly [unknown, unknown] }
  | { readonly $lt: readonly [unknown, unknown] }
  | { readonly $lte: readonly [unknown, unknown] }
  | { readonly $gt: readonly [unknown, unknown] }
  | { readonly $gte: readonly [unknown, unknown] }
  | { readonly $in: readonly [unknown, unknown] }
  | { readonly $and: readonly Condition[] }
  | { readonly $or: readonly Condition[] }
  | { readonly $not: Condition }
  | { readonly $param: string }
  | { readonly $output: string; readonly path?: string }
  | { readonly $item: true; readonly path?: string }
  | { readonly $context: true; readonly path?: string }
  | { readonly $event: true; readonly path?: string };

/** The reference that `value` is, if it is one. */
export function asRef(value: unknown): InputRef | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { $param, $output, $item, $index, $context, $event, path } = value as Record<
    string,
    unknown
  >;
  const at = typeof path === "string" ? path : undefined;
  if (typeof $param === "string") return { kind: "param", name: $param, path: at };
  if (typeof $output === "string") return { kind: "output", name: $output, path: at };
  if ($item === true) return { kind: "item", name: "", path: at };
  if ($index === true) return { kind: "index", name: "", path: undefined };
  if ($context === true) return { kind: "context", name: "", path: at };
  if ($event === true) return { kind: "event", name: "", path: at };
  return undefined;
}

/** All references inside a value, however deep; conditions included. */
export function refsOf(value: unknown): InputRef[] {
  const reference = asRef(value);
  if (reference !== undefined) return [reference];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(refsOf);
}

/**
 * Fills the references of a template.
 * A reference to a task without output (it was skipped) gives null, whatever its path.
 * @throws {AgentError} `INPUT_UNRESOLVED` when a path does not exist in the value that it names.
 */
export function resolve(template: unknown, scope: Scope): Json {
  const reference = asRef(template);
  if (reference !== undefined) return read(reference, scope);
  if (Array.isArray(template)) return template.map((item) => resolve(item, scope));
  if (typeof template !== "object" || template === null) return (template ?? null) as Json;
  return Object.fromEntries(
    Object.entries(template).map(([key, value]) => [key, resolve(value, scope)]),
  );
}

function read({ kind, name, path }: InputRef, scope: Scope): Json {
  switch (kind) {
    case "param": {
      const params = scope.input as Readonly<Record<string, Json>>;
      const value = Object.hasOwn(params, name) ? (params[name] ?? null) : null;
      return follow(value, `the input "${name}"`, path);
    }
    case "output": {
      const value = scope.output(name);
      return value === undefined ? null : follow(value, `the output of "${name}"`, path);
    }
    case "item":
      return follow(scope.item ?? null, "the item", path);
    case "index":
      return scope.index ?? null;
    case "context":
      return follow(scope.context ?? null, "the chart's context", path);
    case "event":
      return follow(scope.event ?? null, "the event", path);
  }
}

function follow(start: Json, what: string, path: string | undefined): Json {
  let value: Json | undefined = start;
  for (const step of path?.split(".") ?? []) {
    const parent: Json | undefined = value;
    value =
      typeof parent === "object" && parent !== null && Object.hasOwn(parent, step)
        ? (parent as Readonly<Record<string, Json>>)[step]
        : undefined;
    if (value === undefined) {
      throw new AgentError("INPUT_UNRESOLVED", `Cannot fill the input: ${what} has no "${path}"`);
    }
  }
  return value;
}

/** @throws {AgentError} `INPUT_UNRESOLVED`, as `resolve` does. */
export function holds(condition: Condition, scope: Scope): boolean {
  if (asRef(condition) !== undefined) return isTruthy(resolve(condition, scope));
  const [operator = "", operand] = Object.entries(condition)[0] ?? [];
  if (operator === "$and") return (operand as Condition[]).every((one) => holds(one, scope));
  if (operator === "$or") return (operand as Condition[]).some((one) => holds(one, scope));
  if (operator === "$not") return !holds(operand as Condition, scope);
  const [left, right] = (operand as [unknown, unknown]).map((side) => resolve(side, scope));
  return compare(operator, left ?? null, right ?? null);
}

function compare(operator: string, left: Json, right: Json): boolean {
  switch (operator) {
    case "$eq":
      return isEqual(left, right);
    case "$ne":
      return !isEqual(left, right);
    case "$in":
      return Array.isArray(right) && right.some((one) => isEqual(left, one));
    default:
      return order(operator, left, right);
  }
}

/** Numbers with numbers, texts with texts; anything else has no order, so every comparison is false. */
function order(operator: string, left: Json, right: Json): boolean {
  const comparable =
    (typeof left === "number" && typeof right === "number") ||
    (typeof left === "string" && typeof right === "string");
  if (!comparable) return false;
  if (operator === "$lt") return left < right;
  if (operator === "$lte") return left <= right;
  if (operator === "$gt") return left > right;
  return operator === "$gte" && left >= right;
}

function isTruthy(value: Json): boolean {
  return value !== null && value !== false && value !== 0 && value !== "";
}

/** Equal as JSON: the order of an object's keys does not matter. */
export function isEqual(left: Json, right: Json): boolean {
  if (left === right) return true;
  if (typeof left !== "object" || typeof right !== "object") return false;
  if (left === null || right === null || Array.isArray(left) !== Array.isArray(right)) return false;
  const a = left as Readonly<Record<string, Json>>;
  const b = right as Readonly<Record<string, Json>>;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key] ?? null, b[key] ?? null))
  );
}
