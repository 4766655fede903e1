/**
 * What a long run has found: one line of JSON, and its figures for the docs where `npm run soak` asks for them.
 *
 * @module
 */

import { appendFileSync } from "node:fs";

export interface SoakFigure {
  /** What was done: `1,000 kills of 4 agents under load`. */
  readonly run: string;
  readonly passed: boolean;
  /** What it showed: `0 pending calls`. */
  readonly found: readonly string[];
  readonly ms: number;
}

/** Prints the report, and sets the exit code. */
export function reportSoak(name: string, figures: readonly SoakFigure[], details: unknown): void {
  const passed = figures.every((figure) => figure.passed);
  console.log(JSON.stringify({ soak: name, passed, figures, details }));
  const file = process.env["SOAK_REPORT"];
  if (file !== undefined) {
    for (const figure of figures) appendFileSync(file, `${JSON.stringify(figure)}\n`);
  }
  process.exitCode = passed ? 0 : 1;
}
