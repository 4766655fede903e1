/**
 * The part of a phase report that the page draws. A report of another shape is shown as a tree.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";

export interface ReportCriterion {
  readonly name: string;
  readonly required: number;
  readonly measured: number | null;
  readonly unit: string;
  readonly met: boolean;
}

export interface ReportTask {
  readonly key: string;
  readonly attempt: number | null;
  readonly durationMs: number | null;
  readonly figures: Json;
}

export interface PhaseReport {
  readonly title: string;
  readonly generatedAt: string;
  readonly result: string;
  readonly archive: {
    readonly source: string;
    readonly read: number;
    readonly migrated: number;
    readonly rejected: number;
    readonly rejectsByReason: Readonly<Record<string, number>>;
  };
  readonly criteria: readonly ReportCriterion[];
  readonly vote: {
    readonly outcome: string;
    readonly required: number;
    readonly ballots: readonly { voter: string; approve: boolean; reason: string }[];
  };
  readonly tasks: readonly ReportTask[];
  readonly findings: readonly { source: string; detail: string }[];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** True when all that the page draws is there; the server has validated the rest. */
export function isPhaseReport(json: unknown): json is PhaseReport {
  if (!isRecord(json)) return false;
  const { archive, vote } = json;
  return (
    typeof json["title"] === "string" &&
    typeof json["result"] === "string" &&
    isRecord(archive) &&
    isRecord(archive["rejectsByReason"]) &&
    isRecord(vote) &&
    Array.isArray(vote["ballots"]) &&
    ["criteria", "tasks", "findings"].every((name) => Array.isArray(json[name]))
  );
}

/** Scalars of a task's output, `a.b` for nested ones down to `depth`; lists are counted. */
export function figuresOf(value: Json, depth = 2): readonly (readonly [string, string | number])[] {
  const rows: (readonly [string, string | number])[] = [];
  const visit = (name: string, item: Json, level: number): void => {
    if (Array.isArray(item)) rows.push([name, `${item.length} entries`]);
    else if (typeof item === "object" && item !== null) {
      if (level === depth) return;
      for (const [key, inner] of Object.entries(item as Readonly<Record<string, Json>>)) {
        visit(name === "" ? key : `${name}.${key}`, inner, level + 1);
      }
    } else if (typeof item === "number") rows.push([name, item]);
    else if (item !== null && String(item).length <= 120) rows.push([name, String(item)]);
  };
  visit("", value, 0);
  return rows;
}
