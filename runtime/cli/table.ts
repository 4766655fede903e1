/**
 * Rows as aligned columns of text.
 *
 * @module
 */

import { cellsOf, fit, printable } from "./console-text.ts";

/** One line per row under the headings; columns are as wide as their widest cell, at most `maxCells`. */
export function tableLines(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  maxCells = 60,
): string[] {
  const all = [headings, ...rows].map((row) => row.map(printable));
  const widths = headings.map((_, at) =>
    Math.min(maxCells, Math.max(...all.map((row) => cellsOf(row[at] ?? "")))),
  );
  return all.map((row) =>
    widths
      .map((width, at) => fit(row[at] ?? "", width))
      .join("  ")
      .trimEnd(),
  );
}
