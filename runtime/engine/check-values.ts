/**
 * Checks of a definition's values: references that exist where they stand, and conditions of the right form.
 *
 * @module
 */

import { asRef, type RefKind } from "../../machines/run/values.ts";

export interface Field {
  readonly pointer: string;
  readonly detail: string;
}

/** A reference, and where in the definition it stands. */
export interface PlacedRef {
  readonly kind: RefKind;
  readonly name: string;
  readonly path: string | undefined;
  readonly pointer: string;
}

/** All references inside a value, with their places. */
export function placedRefs(value: unknown, pointer: string): PlacedRef[] {
  const ref = asRef(value);
  if (ref !== undefined) return [{ ...ref, pointer }];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    placedRefs(inner, `${pointer}/${pointerStep(key)}`),
  );
}

export function pointerStep(step: PropertyKey): string {
  return String(step).replaceAll("~", "~0").replaceAll("/", "~1");
}

const refKeys: ReadonlySet<string> = new Set([
  "$param",
  "$output",
  "$item",
  "$index",
  "$context",
  "$event",
]);

/** References with a misspelt name: whatever begins with a dollar means something, or is a mistake. */
export function checkRefShapes(value: unknown, pointer: string): Field[] {
  if (typeof value !== "object" || value === null) return [];
  const keys = Object.keys(value);
  const dollar = keys.find((key) => key.startsWith("$"));
  if (dollar === undefined) {
    return Object.entries(value).flatMap(([key, inner]) =>
      checkRefShapes(inner, `${pointer}/${pointerStep(key)}`),
    );
  }
  if (!refKeys.has(dollar)) {
    const known = [...refKeys].join(", ");
    return [{ pointer, detail: `is no reference: "${dollar}"; references are ${known}` }];
  }
  const { path } = value as { path?: unknown };
  if (asRef(value) === undefined) {
    const wants = dollar === "$param" || dollar === "$output" ? "a name" : "true";
    return [{ pointer, detail: `is no reference: "${dollar}" must be ${wants}` }];
  }
  const extra = keys.filter((key) => key !== dollar && key !== "path");
  if (extra.length === 0 && (path === undefined || (typeof path === "string" && path !== ""))) {
    return [];
  }
  return [
    { pointer, detail: `is no reference: beside "${dollar}" only a path, a text, may stand` },
  ];
}

const comparisons: ReadonlySet<string> = new Set([
  "$eq",
  "$ne",
  "$lt",
  "$lte",
  "$gt",
  "$gte",
  "$in",
]);

/** A condition is one operator, or a reference. */
export function checkCondition(value: unknown, pointer: string): Field[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return [{ pointer, detail: "is no condition: write an operator, as in { $eq: [ …, … ] }" }];
  }
  const entries = Object.entries(value);
  const [operator = "", operand] = entries[0] ?? [];
  if (refKeys.has(operator)) return checkRefShapes(value, pointer);
  const at = `${pointer}/${pointerStep(operator)}`;
  if (entries.length !== 1) {
    return [{ pointer, detail: "is no condition: it must have exactly one operator" }];
  }
  if (comparisons.has(operator)) {
    if (Array.isArray(operand) && operand.length === 2) return checkRefShapes(operand, at);
    return [{ pointer: at, detail: "must be a list of two values" }];
  }
  if (operator === "$not") return checkCondition(operand, at);
  if (operator === "$and" || operator === "$or") {
    if (!Array.isArray(operand)) return [{ pointer: at, detail: "must be a list of conditions" }];
    return operand.flatMap((one, index) => checkCondition(one, `${at}/${index}`));
  }
  const known = [...comparisons, "$and", "$or", "$not"].join(", ");
  return [{ pointer, detail: `is no condition: "${operator}"; operators are ${known}` }];
}
