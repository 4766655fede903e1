/**
 * Decides whether a value is JSON, so that nothing is changed silently on its way to the journal.
 *
 * @module
 */

import type { Json } from "./error-code.ts";

/** Deeper values are refused; also what ends a circular one. */
export const maxJsonDepth = 64;

export type JsonCheck =
  | { readonly type: "json"; readonly value: Json }
  /** `path` is a JSON pointer to what is not JSON. */
  | { readonly type: "not-json"; readonly path: string; readonly found: string };

/** Properties that are undefined are left out, as in `JSON.stringify`; everything else must be JSON already. */
export function checkJson(value: unknown, path = "", depth = 0): JsonCheck {
  if (value === null || typeof value === "string" || typeof value === "boolean") {
    return { type: "json", value };
  }
  if (typeof value === "number") {
    return Number.isFinite(value)
      ? { type: "json", value }
      : { type: "not-json", path, found: String(value) };
  }
  if (typeof value !== "object") return { type: "not-json", path, found: typeof value };
  if (depth >= maxJsonDepth) {
    return { type: "not-json", path, found: `a value more than ${maxJsonDepth} deep` };
  }
  return Array.isArray(value) ? checkArray(value, path, depth) : checkObject(value, path, depth);
}

function checkArray(value: readonly unknown[], path: string, depth: number): JsonCheck {
  const items: Json[] = [];
  for (const [index, item] of value.entries()) {
    const checked = checkJson(item, `${path}/${index}`, depth + 1);
    if (checked.type === "not-json") return checked;
    items.push(checked.value);
  }
  return { type: "json", value: items };
}

function checkObject(value: object, path: string, depth: number): JsonCheck {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    const found = `a ${(value.constructor as { name?: string } | undefined)?.name ?? "class instance"}`;
    return { type: "not-json", path, found };
  }
  const entries: [string, Json][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    const pointer = `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const checked = checkJson(item, pointer, depth + 1);
    if (checked.type === "not-json") return checked;
    entries.push([key, checked.value]);
  }
  return { type: "json", value: Object.fromEntries(entries) };
}
