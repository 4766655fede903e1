/**
 * Why a task is not running: all that holds it, as sentences and as data, and when it is expected to
 * begin.
 *
 * @module
 */

import type { RunRepo } from "../db/run-repo.ts";
import type { Hold } from "../machines/admission.ts";
import type { TaskRef } from "../machines/ready-tree.ts";
import { type TaskCause, taskCauses } from "../machines/run/task-causes.ts";
import { compileDefinition } from "./engine/compile-definition.ts";
import { holdSentence } from "./engine/hold-sentence.ts";
import type { TaskExplanation } from "./system.ts";

export interface ExplainOptions {
  readonly runs: Pick<RunRepo, "read">;
  readonly heldBy: (workflowId: string, taskKey: string) => Hold | undefined;
  /** Who holds a share of a pool; `takenAtMs` where it is known. */
  readonly holdersOf: (pool: string) => Promise<readonly Holder[]>;
  /** Why an agent takes no tasks now. */
  readonly agentTrouble: (name: string) => string | undefined;
  /** Where a pending run stands in the queue of its definition. */
  readonly queueReasons: (workflowId: string) => Promise<readonly string[]>;
  /** Epoch ms; undefined when nobody plans. */
  readonly expectedStart?: (workflowId: string, taskKey: string) => Promise<number | undefined>;
}

export type Holder = TaskRef & { readonly takenAtMs?: number };

type Cause = TaskExplanation["causes"][number];

/** Holders that an explanation names. */
const namedHolders = 20;

const notBegun: ReadonlySet<string> = new Set(["blocked", "ready", "retrying", "dispatched"]);

export async function explainTask(
  id: string,
  taskKey: string,
  options: ExplainOptions,
): Promise<TaskExplanation | undefined> {
  const stored = await options.runs.read(id);
  const run = stored?.loaded.run;
  const task = run?.tasks.get(taskKey);
  if (stored === undefined || run === undefined || task === undefined) return undefined;
  const definition = stored.loaded.definition as unknown as Parameters<typeof compileDefinition>[0];
  const { plan } = compileDefinition(definition);
  const agent = plan.tasks.get(task.plan)?.agent ?? "";
  const causes: Cause[] = taskCauses(run, plan, taskKey).map(causeView);
  if (task.status === "ready") causes.push(...(await readyCauses(id, taskKey, agent, options)));
  if (task.status === "blocked" && run.status === "pending") {
    const sentences = await options.queueReasons(id);
    causes.push(...sentences.map((sentence) => ({ kind: "run-queue" as const, sentence })));
  }
  if (task.status === "dispatched") {
    const sentence = "is in the queue, waiting to be taken by a node";
    causes.push({ kind: "queue", sentence });
  }
  const expectedMs = notBegun.has(task.status)
    ? await options.expectedStart?.(id, taskKey)
    : undefined;
  return {
    status: task.status,
    reasons: causes.map(({ sentence }) => sentence),
    causes,
    expectedStartAt: expectedMs === undefined ? null : iso(expectedMs),
  };
}

async function readyCauses(
  id: string,
  taskKey: string,
  agent: string,
  { agentTrouble, heldBy, holdersOf }: ExplainOptions,
): Promise<Cause[]> {
  const trouble = agentTrouble(agent);
  if (trouble !== undefined) return [{ kind: "agent", of: agent, sentence: trouble }];
  const hold = heldBy(id, taskKey);
  if (hold === undefined) return [];
  const holders = await holdersOf(hold.pool);
  const { ahead, by, elsewhere, limit, pool, used } = hold;
  return [
    {
      kind: by === "turn" ? "turn" : "limit",
      sentence: holdSentence(hold, agent, holders),
      ...(by === "turn" ? { ahead } : { of: pool, limit, used: used + elsewhere }),
      ...(holders.length === 0 ? {} : { holders: holders.slice(0, namedHolders).map(holderView) }),
    },
  ];
}

function holderView({ takenAtMs, taskKey, workflowId }: Holder) {
  const since = takenAtMs === undefined ? {} : { since: iso(takenAtMs) };
  return { workflowId, task: taskKey, ...since };
}

function causeView({ dueAtMs, sinceMs, ...cause }: TaskCause): Cause {
  return {
    ...cause,
    ...(sinceMs === undefined ? {} : { since: iso(sinceMs) }),
    ...(dueAtMs === undefined ? {} : { dueAt: iso(dueAtMs) }),
  };
}

function iso(atMs: number): string {
  return new Date(Math.round(atMs)).toISOString();
}
