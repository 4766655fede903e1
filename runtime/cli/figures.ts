/**
 * Numbers as people read them: the unit at the end of a field's name chooses the form.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";

/** `850 ms`, `12.3 s`, `4:05`, `1:02:03`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  const pad = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60];
  const tail = pad(seconds % 60);
  return hours === 0 ? `${minutes}:${tail}` : `${hours}:${pad(minutes)}:${tail}`;
}

/** Decimal units, as disks are sold: `32.5 MB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `1,234,567` and `0.123`; at most three decimals. */
export function numberText(value: number): string {
  return value.toLocaleString("en-GB", { maximumFractionDigits: Math.abs(value) < 10 ? 3 : 1 });
}

/** `readMessages` 6046 becomes `read messages 6,046`; `sizeBytes` 32500000 becomes `size 32.5 MB`. */
export function figureText(name: string, value: number): string {
  const forms: readonly (readonly [RegExp, (value: number) => string])[] = [
    [/Ms$/, durationText],
    [/Bytes$/, bytesText],
    [/PerSecond$/, (each) => `${numberText(each)}/s`],
    [/(?:Share|Ratio|Rate)$/, numberText],
  ];
  const form = forms.find(([pattern]) => pattern.test(name));
  const stem =
    form === undefined || /Share|Ratio|Rate/.test(form[0].source)
      ? name
      : name.replace(form[0], "");
  return `${wordsOf(stem)} ${(form?.[1] ?? numberText)(value)}`.trim();
}

/** The first `limit` figures at the top of a task's output, in the output's own order. */
export function outputFigures(output: Json | undefined, limit: number): string[] {
  if (typeof output !== "object" || output === null || Array.isArray(output)) return [];
  const figures: string[] = [];
  for (const [name, value] of Object.entries(output)) {
    if (typeof value === "number") figures.push(figureText(name, value));
    if (typeof value === "boolean") figures.push(`${wordsOf(name)} ${value ? "yes" : "no"}`);
    if (figures.length === limit) break;
  }
  return figures;
}

function wordsOf(name: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll("_", " ")
    .toLowerCase();
}
