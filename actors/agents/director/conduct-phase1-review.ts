/**
 * DIRECTOR.conduct_phase1_review: checks the criteria, lets three agents vote, and writes the phase report.
 *
 * @module
 */

import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { AgentError, type Json } from "../../../machines/error-code.ts";
import { capability } from "../../define-agent.ts";
import type { AgentContext, TaskTime, VoteResult } from "../../ports.ts";
import {
  createWeekBarrier,
  weekArrivals,
  weekBarrierId,
} from "../../workflows/phase1/week-barrier.ts";
import {
  phase1ReservationId,
  phase1Topic,
} from "../projectorchestrator/coordinate-phase1-execution.ts";
import type { Proposal } from "../proposal.ts";
import { checkCriteria, findingsOf, type PhaseResults, phaseResultsSchema } from "./phase-facts.ts";
import { type PhaseReport, phaseReportSchema, renderReport } from "./phase-report.ts";

const VOTERS = ["DIRECTOR", "SECURITY", "TESTBED"] as const;
const REQUIRED_BALLOTS = 2;
const BALLOT_TIMEOUT_MS = 30_000;

export const conductPhase1Review = capability({
  description: "Checks every success criterion, calls a vote of three agents and writes the report",
  input: z.object({ results: phaseResultsSchema }),
  output: z.object({
    report: phaseReportSchema,
    markdown: z.string(),
    files: z.object({ json: z.string(), markdown: z.string() }),
  }),
  async run(ctx, { results }) {
    const criteria = checkCriteria(results);
    const weeks = await closeWeeks(ctx);
    const proposal = proposalOf(ctx.workflowId, results, criteria, weeks);
    ctx.heartbeat({ percent: 30, message: "voting" });
    const voteId = `${ctx.workflowId}/phase1-review`;
    const vote = await ctx.coordination.vote(
      voteId,
      proposal,
      VOTERS,
      REQUIRED_BALLOTS,
      BALLOT_TIMEOUT_MS,
    );
    ctx.heartbeat({ percent: 80, message: "writing the report" });
    const migration = results.database_migration_execution;
    const report: PhaseReport = {
      phase: "phase1",
      title: "Foundation Enhancement",
      workflowId: ctx.workflowId,
      generatedAt: ctx.clock.now().toISOString(),
      result: resultOf(vote, criteria),
      archive: {
        source: results.phase1_strategic_planning.profile.url,
        read: migration.read,
        migrated: migration.migrated,
        rejected: migration.rejected,
        rejectsByReason: migration.rejects,
      },
      criteria,
      vote: { ...vote, ballots: vote.ballots.map((ballot) => ({ ...ballot })) },
      weeks,
      tasks: await describeTasks(ctx, results),
      findings: findingsOf(results),
    };
    const markdown = renderReport(report);
    const files = await writeReport(ctx, report, markdown);
    await ctx.coordination.release(phase1ReservationId(ctx.workflowId));
    await ctx.bus.publish(phase1Topic, {
      workflowId: ctx.workflowId,
      event: "phase.reviewed",
      result: report.result,
      criteria,
    });
    return { report, markdown, files };
  },
});

/** The DIRECTOR comes last to the barrier of every week, and sees who is missing there. */
async function closeWeeks(ctx: AgentContext): Promise<PhaseReport["weeks"]> {
  const weeks: PhaseReport["weeks"] = [];
  for (const week of Object.keys(weekArrivals)) {
    await createWeekBarrier(ctx, week);
    const id = weekBarrierId(ctx.workflowId, week);
    const { missing } = await ctx.coordination.arriveAtBarrier(id, ctx.agent);
    weeks.push({ week, missing: [...missing] });
  }
  return weeks;
}

function proposalOf(
  workflowId: string,
  results: PhaseResults,
  criteria: PhaseReport["criteria"],
  weeks: PhaseReport["weeks"],
): Proposal {
  const { runId, read, migrated, rejected } = results.database_migration_execution;
  const failedChecks = [
    ...results.system_integration_testing.checks
      .filter((check) => !check.passed)
      .map((check) => check.name),
    ...weeks.flatMap(({ week, missing }) =>
      missing.map((agent) => `${agent} did not arrive at the end of ${week}`),
    ),
  ];
  const severeFindings = results.security_validation.findings
    .filter((finding) => finding.severity === "high")
    .map((finding) => finding.detail);
  const counts = { runId, read, migrated, rejected };
  return { kind: "accept_phase1", workflowId, ...counts, criteria, failedChecks, severeFindings };
}

function resultOf(vote: VoteResult, criteria: PhaseReport["criteria"]): PhaseReport["result"] {
  if (vote.outcome === "rejected") return "rejected_by_vote";
  return criteria.every((criterion) => criterion.met) ? "accepted" : "accepted_with_misses";
}

/** Figures from the outputs; times from the engine's own records. */
async function describeTasks(
  ctx: AgentContext,
  results: PhaseResults,
): Promise<PhaseReport["tasks"]> {
  const times = await ctx.taskTimes();
  const order = times.map((time) => time.key);
  return Object.entries(results as Readonly<Record<string, Json>>)
    .toSorted(([a], [b]) => order.indexOf(a) - order.indexOf(b))
    .map(([key, figures]) => {
      const time = times.find((one) => one.key === key);
      return {
        key,
        attempt: time?.attempt ?? null,
        durationMs: durationMsOf(time),
        figures,
      };
    });
}

/** Null for a task that has not ended, as the review itself. */
function durationMsOf(time: TaskTime | undefined): number | null {
  if (time === undefined || time.startedAt === null || time.finishedAt === null) return null;
  return time.finishedAt.getTime() - time.startedAt.getTime();
}

/** Each file appears whole or not at all. A later attempt replaces both. */
async function writeReport(
  { host, workflowId }: AgentContext,
  report: PhaseReport,
  markdown: string,
): Promise<{ json: string; markdown: string }> {
  if (!/^[\w.-]+$/.test(workflowId)) {
    throw new AgentError(
      "REPORT_NAME_INVALID",
      `Cannot write the report: the run id "${workflowId}" is no file name`,
    );
  }
  const folder = join(host.dataDir, "reports");
  const base = join(folder, `phase1-${workflowId}`);
  const files = { json: `${base}.json`, markdown: `${base}.md` };
  try {
    await mkdir(folder, { recursive: true });
    for (const [file, text] of [
      [files.json, `${JSON.stringify(report, null, 2)}\n`],
      [files.markdown, markdown],
    ] as const) {
      await writeFile(`${file}.tmp`, text);
      await rename(`${file}.tmp`, file);
    }
  } catch (cause) {
    const message = `Cannot write the phase report to "${folder}": ${String(cause)}`;
    throw new AgentError("REPORT_NOT_WRITTEN", message, { retryable: true, cause });
  }
  return files;
}
