/**
 * An approval as the person sees it who is to decide: what is asked, by whom, on what ground, and
 * what became of it.
 *
 * @module
 */

import type { WorkflowDefinition } from "../actors/define-workflow.ts";
import type { ReadApproval } from "../db/approval-repo.ts";
import type { CommandRepo } from "../db/command-repo.ts";
import type { ViewRepo } from "../db/view-repo.ts";
import type { Json } from "../machines/error-code.ts";
import type { ApprovalDetails, ApprovalView, WorkflowStatus } from "./system.ts";

/** Longer values are cut, in characters of JSON. */
const shownCharacters = 8_000;
/** Tasks before the approval whose outputs are shown. */
const shownOutputs = 20;

export interface ApprovalDetailsOptions {
  readonly commands: Pick<CommandRepo, "answer">;
  readonly views: Pick<ViewRepo, "journal" | "output" | "run">;
}

/** Key of the command that a token's decision is. */
export function approvalKey(token: string): string {
  return `approval/${token}`;
}

export async function approvalDetails(
  found: ReadApproval,
  view: ApprovalView,
  definition: WorkflowDefinition,
  options: ApprovalDetailsOptions,
): Promise<ApprovalDetails | undefined> {
  const run = await options.views.run(found.workflowId);
  const [first] = await options.views.journal(found.workflowId, 0, 1);
  if (run === undefined) return undefined;
  const decision = await decisionOf(found, options);
  return {
    ...view,
    state: stateOf(found, decision),
    askedAt: iso(found.createdAtMs),
    startedBy: first?.actor ?? "unknown",
    runStatus: run.status as WorkflowStatus,
    decision: decision && { at: decision.at, by: decision.by, reason: decision.reason },
    data: [
      ...(isEmpty(run.input) ? [] : [{ title: "The run's input", value: cut(run.input) }]),
      ...(await outputsBefore(found, definition, options)),
    ],
  };
}

type Decided = NonNullable<ApprovalDetails["decision"]> & { readonly approved: boolean };

/** What the turn journalled for the token; null unless it took a decision. */
async function decisionOf(
  { token, workflowId }: ReadApproval,
  { commands, views }: ApprovalDetailsOptions,
): Promise<Decided | null> {
  const seq = (await commands.answer(workflowId, approvalKey(token)))?.entry?.seq;
  const [entry] = seq === undefined ? [] : await views.journal(workflowId, seq - 1, 1);
  if (entry === undefined) return null;
  const { as, reason } = entry.payload as { readonly as?: string; readonly reason?: string | null };
  return {
    approved: as === "succeeded",
    at: iso(entry.atMs),
    by: entry.actor,
    reason: reason ?? null,
  };
}

function stateOf(found: ReadApproval, decision: Decided | null): ApprovalDetails["state"] {
  if (decision !== null) return decision.approved ? "approved" : "rejected";
  if (!found.decided) return "open";
  const isLate = found.expiresAtMs !== null && found.expiresAtMs <= Date.now();
  return isLate ? "expired" : "closed";
}

async function outputsBefore(
  { taskKey, workflowId }: ReadApproval,
  definition: WorkflowDefinition,
  { views }: ApprovalDetailsOptions,
): Promise<ApprovalDetails["data"]> {
  const name = planKeyOf(taskKey);
  const round = /#\d+/.exec(taskKey)?.[0] ?? "";
  const tasks = Object.values(definition.stages).find(({ tasks: all }) => name in all)?.tasks ?? {};
  const before = (tasks[name]?.after ?? []).slice(0, shownOutputs);
  const outputs = await Promise.all(
    before.map(async (key) => ({
      title: tasks[key]?.title ?? key,
      value: await views.output(workflowId, `${key}${round}`),
    })),
  );
  return outputs.flatMap(({ title, value }) =>
    value === undefined || isEmpty(value) ? [] : [{ title, value: cut(value) }],
  );
}

/** `review#2[3]` as `review`. */
export function planKeyOf(taskKey: string): string {
  return taskKey.replace(/#\d+/, "").replace(/\[\d+\]$/, "");
}

function cut(value: Json): Json {
  const text = JSON.stringify(value);
  if (text.length <= shownCharacters) return value;
  return `${text.slice(0, shownCharacters)} … (${text.length} characters; the API has all of it)`;
}

function isEmpty(value: Json): boolean {
  return value === null || (typeof value === "object" && Object.keys(value).length === 0);
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
