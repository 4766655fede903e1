/**
 * The verbs that act on a running supervisor: each is one or two requests and their answer as text or JSON.
 *
 * @module
 */

import { setTimeout as wait } from "node:timers/promises";
import type { Json } from "../../machines/error-code.ts";
import type {
  AgentView,
  KnownWorkflow,
  Page,
  SystemStatus,
  TaskExplanation,
  TaskView,
  WorkflowView,
} from "../system.ts";
import type { ApiClient } from "./api-client.ts";
import { durationText, numberText } from "./figures.ts";
import { taskLineOf } from "./plain-view.ts";
import { hasEnded, isDone } from "./run-state.ts";
import { exitCodeOf, reportLines } from "./summary.ts";
import { tableLines } from "./table.ts";

/** Between two looks at a run that is followed. */
const FOLLOW_EVERY_MS = 500;

export interface VerbOutput {
  /** One line for people; dropped in JSON mode. */
  line(text: string): void;
  /** The result for programs; dropped in text mode. */
  json(value: unknown): void;
}

/** Prints what runs, how the agents are, and the runs. */
export async function showStatus(api: ApiClient, out: VerbOutput): Promise<number> {
  const status = await api.get<SystemStatus>("/system/status");
  const { items: agents } = await api.get<Page<AgentView>>("/agents");
  const { items: workflows } = await api.get<Page<WorkflowView>>("/workflows?limit=20");
  out.json({ url: api.url, status, agents, workflows });
  const ready = status.ready ? "ready" : `not ready: ${status.reasons.join("; ")}`;
  out.line(`SPECTRA ${status.version} at ${api.url}: ${ready}`);
  out.line(`  up ${durationText(status.uptimeMs)}, node ${status.nodeId}`);
  out.line(
    `  PostgreSQL ${status.database.version} (${status.database.kind}), queues in ${status.queue.kind}`,
  );
  out.line(`  ${status.agents.healthy}/${status.agents.total} agents healthy`);
  for (const warning of status.warnings) out.line(`  warning: ${warning}`);
  out.line("");
  for (const line of agentLines(agents)) out.line(line);
  out.line("");
  for (const line of workflowLines(workflows)) out.line(line);
  return 0;
}

export interface RunVerb {
  readonly workflow: string;
  readonly input: { readonly [key: string]: Json };
  readonly follow: boolean;
}

/** Starts a run; with `follow` it waits for the end. 0 only for a completed run that no vote rejected. */
export async function runWorkflow(api: ApiClient, verb: RunVerb, out: VerbOutput): Promise<number> {
  const { workflow, input, follow } = verb;
  const run = await api.post<WorkflowView>("/workflows", { workflow, input });
  out.line(`started ${run.workflow} as ${run.id}`);
  const last = follow ? await followRun(api, run, out) : run;
  out.json(last);
  if (!follow) return 0;
  out.line(`${last.status} ${last.id}${last.error === undefined ? "" : `: ${last.error.message}`}`);
  // Other workflows have no report, and a phase has one from its last task on.
  const hasReport = last.workflow === "phase1" && last.status === "completed";
  const report = hasReport
    ? await api.get<Json>(`/workflows/${encodeURIComponent(last.id)}/report`)
    : undefined;
  for (const line of reportLines(report)) out.line(line);
  return exitCodeOf(last.status, report);
}

async function followRun(
  api: ApiClient,
  run: WorkflowView,
  out: VerbOutput,
): Promise<WorkflowView> {
  const seen = new Map<string, TaskView>();
  for (;;) {
    // The run first: when it has ended, the tasks that are read after it are final.
    const now = await api.get<WorkflowView>(`/workflows/${encodeURIComponent(run.id)}`);
    for (const task of (await tasksOf(api, run.id)).items) {
      const line = taskLineOf(seen.get(task.key), task);
      if (line !== undefined) out.line(line);
      seen.set(task.key, task);
    }
    if (hasEnded(now.status)) return now;
    await wait(FOLLOW_EVERY_MS);
  }
}

/** What `run` takes, with the names of the inputs; those in brackets may be left out. */
export async function listKnown(api: ApiClient, out: VerbOutput): Promise<number> {
  const page = await api.get<Page<KnownWorkflow>>("/definitions");
  out.json(page);
  const rows = page.items.map((known) => [
    known.id,
    known.title,
    String(known.tasks),
    inputNames(known),
  ]);
  for (const line of tableLines(["WORKFLOW", "TITLE", "TASKS", "INPUT"], rows)) out.line(line);
  return 0;
}

function inputNames({ inputSchema }: KnownWorkflow): string {
  const { properties = {}, required = [] } = inputSchema as {
    properties?: Readonly<Record<string, Json>>;
    required?: readonly string[];
  };
  const names = Object.keys(properties);
  return names.map((name) => (required.includes(name) ? name : `[${name}]`)).join(", ");
}

export async function listWorkflows(
  api: ApiClient,
  query: Readonly<Record<string, string>>,
  out: VerbOutput,
): Promise<number> {
  const page = await api.get<Page<WorkflowView>>(`/workflows?${new URLSearchParams({ ...query })}`);
  out.json(page);
  for (const line of workflowLines(page.items)) out.line(line);
  if (page.nextCursor !== null) out.line("There are more; raise --limit to see them");
  return 0;
}

export async function showWorkflow(api: ApiClient, id: string, out: VerbOutput): Promise<number> {
  const workflow = await api.get<WorkflowView>(`/workflows/${encodeURIComponent(id)}`);
  const { items: tasks } = await tasksOf(api, id);
  out.json({ ...workflow, taskList: tasks });
  for (const line of workflowLines([workflow])) out.line(line);
  if (workflow.error !== undefined) out.line(`${workflow.error.code}: ${workflow.error.message}`);
  out.line("");
  const rows = tasks.map((task) => [
    task.key,
    task.kind === "action" ? `${task.agent}.${task.action}` : task.kind,
    task.status,
    String(task.attempt),
    tookOf(task),
    task.error?.message ?? task.progress?.message ?? "",
  ]);
  const headings = ["TASK", "ACTION", "STATUS", "ATTEMPT", "TOOK", "MESSAGE"];
  for (const line of tableLines(headings, rows)) out.line(line);
  return 0;
}

export async function controlWorkflow(
  api: ApiClient,
  control: "pause" | "resume" | "cancel" | "retry",
  verb: { readonly id: string; readonly task?: string; readonly reason?: string },
  out: VerbOutput,
): Promise<number> {
  const { id, ...body } = verb;
  const run = await api.post<WorkflowView>(`/workflows/${encodeURIComponent(id)}/${control}`, body);
  out.json(run);
  out.line(`${run.id} is ${run.status}`);
  return 0;
}

/** Without a task: explains every task that is not done and not running. */
export async function explain(
  api: ApiClient,
  verb: { readonly id: string; readonly task: string | undefined },
  out: VerbOutput,
): Promise<number> {
  const id = encodeURIComponent(verb.id);
  const waits = ({ status }: TaskView) => !isDone(status) && status !== "running";
  const keys =
    verb.task === undefined
      ? (await tasksOf(api, verb.id)).items.filter(waits).map(({ key }) => key)
      : [verb.task];
  const found: (TaskExplanation & { key: string })[] = [];
  for (const key of keys) {
    const path = `/workflows/${id}/tasks/${encodeURIComponent(key)}/explain`;
    const explanation = await api.get<TaskExplanation>(path);
    found.push({ key, ...explanation });
    const reasons =
      explanation.reasons.length === 0 ? "nothing holds it" : explanation.reasons.join("; ");
    out.line(`${key} (${explanation.status}): ${reasons}`);
  }
  if (keys.length === 0) out.line("Every task is done or runs");
  out.json(found);
  return 0;
}

export async function listAgents(api: ApiClient, out: VerbOutput): Promise<number> {
  const page = await api.get<Page<AgentView>>("/agents");
  out.json(page);
  for (const line of agentLines(page.items)) out.line(line);
  return 0;
}

export async function restartAgent(
  api: ApiClient,
  verb: { readonly name: string; readonly reason?: string },
  out: VerbOutput,
): Promise<number> {
  const { name, ...body } = verb;
  const agent = await api.post<AgentView>(`/agents/${encodeURIComponent(name)}/restart`, body);
  out.json(agent);
  out.line(`${agent.name} is ${agent.status}, ${agent.restarts} restarts so far`);
  return 0;
}

function tasksOf(api: ApiClient, id: string): Promise<{ items: readonly TaskView[] }> {
  return api.get(`/workflows/${encodeURIComponent(id)}/tasks`);
}

function agentLines(agents: readonly AgentView[]): string[] {
  const rows = agents.map((agent) => [
    agent.name,
    agent.category,
    agent.status,
    agent.health,
    String(agent.restarts),
    `${agent.inFlight}/${agent.concurrency}`,
    agent.successRate === null ? "" : `${numberText(agent.successRate * 100)} %`,
    agent.averageMs === null ? "" : durationText(agent.averageMs),
  ]);
  const headings = [
    "AGENT",
    "CATEGORY",
    "STATUS",
    "HEALTH",
    "RESTARTS",
    "TASKS",
    "SUCCESS",
    "AVERAGE",
  ];
  return tableLines(headings, rows);
}

function workflowLines(workflows: readonly WorkflowView[]): string[] {
  if (workflows.length === 0) return ["No workflow runs"];
  const rows = workflows.map((run) => [
    run.id,
    run.workflow,
    run.status,
    run.state,
    `${run.tasks.done}/${run.tasks.total}`,
    run.createdAt,
    tookOf(run),
  ]);
  return tableLines(["RUN", "WORKFLOW", "STATUS", "STATE", "TASKS", "CREATED", "TOOK"], rows);
}

function tookOf({
  startedAt,
  finishedAt,
}: {
  startedAt: string | null;
  finishedAt: string | null;
}): string {
  if (startedAt === null || finishedAt === null) return "";
  return durationText(Date.parse(finishedAt) - Date.parse(startedAt));
}
