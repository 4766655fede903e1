/**
 * The report of a phase: its shape, and how it reads as Markdown.
 *
 * @module
 */

import { z } from "zod";
import type { Json } from "../../../machines/error-code.ts";
import { jsonSchema } from "../json-schema.ts";
import { voteSchema } from "../projectorchestrator/call-vote.ts";
import { criterionSchema } from "../proposal.ts";

export const phaseReportSchema = z.object({
  phase: z.literal("phase1"),
  title: z.string(),
  workflowId: z.string(),
  generatedAt: z.iso.datetime(),
  /** `accepted_with_misses`: the vote accepts the phase although a criterion is missed. */
  result: z.enum(["accepted", "accepted_with_misses", "rejected_by_vote"]),
  archive: z.object({
    source: z.string(),
    read: z.number(),
    migrated: z.number(),
    rejected: z.number(),
    rejectsByReason: z.record(z.string(), z.number()),
  }),
  criteria: z.array(criterionSchema),
  vote: voteSchema,
  /** Barriers at the ends of the weeks, and who did not arrive. */
  weeks: z.array(z.object({ week: z.string(), missing: z.array(z.string()) })),
  /** In the order in which they started, where the engine recorded times. */
  tasks: z.array(
    z.object({
      key: z.string(),
      attempt: z.number().nullable(),
      durationMs: z.number().nullable(),
      figures: jsonSchema,
    }),
  ),
  findings: z.array(z.object({ source: z.string(), detail: z.string() })),
});

export type PhaseReport = z.infer<typeof phaseReportSchema>;

/** Figures of one task that the Markdown shows at most. */
const MAX_FIGURES = 14;

export function renderReport(report: PhaseReport): string {
  const { archive, vote } = report;
  const lines = [
    `# Phase 1: ${report.title}`,
    "",
    `Run \`${report.workflowId}\`, ${report.generatedAt}. Result: **${report.result.replaceAll("_", " ")}**.`,
    "",
    `${number(archive.read)} records read from ${code(archive.source)}: ${number(archive.migrated)} migrated, ${number(archive.rejected)} rejected.`,
    "",
    ...section(
      "Success criteria",
      ["Criterion", "Required", "Measured", "Met"],
      criteriaRows(report),
    ),
    ...section(
      "Rejected records",
      ["Reason", "Records"],
      Object.entries(archive.rejectsByReason).map(([reason, count]) => [reason, number(count)]),
    ),
    ...section(
      `Vote: ${vote.outcome} (${vote.required} must agree)`,
      ["Voter", "Ballot", "Reason"],
      vote.ballots.map((ballot) => [
        ballot.voter,
        ballot.approve ? "for" : "against",
        ballot.reason,
      ]),
    ),
    ...section(
      "Weeks",
      ["Week", "Missing at its barrier"],
      report.weeks.map(({ week, missing }) => [week, missing.join(", ") || "nobody"]),
    ),
    ...section(
      "Findings",
      ["Source", "Finding"],
      report.findings.map(({ source, detail }) => [source, detail]),
    ),
    "## Tasks",
    "",
  ];
  for (const { key, attempt, durationMs, figures } of report.tasks) {
    const time = durationMs === null ? "" : `, ${number(durationMs)} ms`;
    const again = attempt === null || attempt === 1 ? "" : `, attempt ${attempt}`;
    lines.push(`### ${key}${time}${again}`, "", ...figureLines(figures), "");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

function criteriaRows({ criteria }: PhaseReport): string[][] {
  return criteria.map((one) => [
    one.name,
    `${number(one.required)} ${one.unit}`,
    one.measured === null ? "not measured" : `${number(one.measured)} ${one.unit}`,
    one.met ? "met" : "**missed**",
  ]);
}

/** A heading with a table, or nothing when there are no rows. */
function section(title: string, head: readonly string[], rows: readonly string[][]): string[] {
  if (rows.length === 0) return [];
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [`## ${title}`, "", line(head), line(head.map(() => "---")), ...rows.map(line), ""];
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ");
}

function code(text: string): string {
  return `\`${text.replaceAll("`", "'")}\``;
}

/** Scalars of an output, two levels deep; lists are given by their length. */
function figureLines(figures: Json): string[] {
  const lines: string[] = [];
  const visit = (name: string, value: Json, depth: number) => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      if (depth === 2) return;
      for (const [key, inner] of Object.entries(value)) {
        visit(name === "" ? key : `${name}.${key}`, inner, depth + 1);
      }
    } else if (Array.isArray(value)) lines.push(`- ${name}: ${value.length} entries`);
    else if (typeof value === "number") lines.push(`- ${name}: ${number(value)}`);
    else if (value !== null && String(value).length <= 120) lines.push(`- ${name}: ${value}`);
  };
  visit("", figures, 0);
  const more = lines.length - MAX_FIGURES;
  return more > 0 ? [...lines.slice(0, MAX_FIGURES), `- … ${more} more in the JSON report`] : lines;
}

function number(value: number): string {
  // Rates and shares that would round to nothing.
  if (value !== 0 && Math.abs(value) < 0.001) return value.toPrecision(3);
  return value.toLocaleString("en-US", { maximumFractionDigits: Math.abs(value) < 10 ? 3 : 1 });
}
