/**
 * Values of flags: texts that are read, or refused with what is expected.
 *
 * @module
 */

import { InvalidArgumentError } from "commander";
import type { Json } from "../../machines/error-code.ts";

/** The values of a flag that may be repeated. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

export function httpUrl(text: string): string {
  if (URL.canParse(text) && /^https?:/.test(text)) return text;
  throw new InvalidArgumentError("It must look like http://127.0.0.1:5000.");
}

export function jsonObject(text: string): { [key: string]: Json } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidArgumentError("It is not JSON.");
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as { [key: string]: Json };
  }
  throw new InvalidArgumentError("It must be a JSON object.");
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `90s`, `5m`, `1h`, `2d` in milliseconds. */
export function duration(text: string): number {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(amount) * (unitMs[unit] ?? Number.NaN);
  if (Number.isInteger(ms)) return ms;
  throw new InvalidArgumentError("It must look like 90s, 5m, 1h or 2d.");
}

export function wholeNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number.");
}
