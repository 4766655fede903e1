/**
 * What people and programs do with workflow runs: start, look, explain; commands are in `workflow-control`.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import type { WorkflowDefinition } from "../actors/define-workflow.ts";
import type { ApprovalRepo } from "../db/approval-repo.ts";
import type { CommandRepo } from "../db/command-repo.ts";
import { RunNotStartedError } from "../db/run-queue-repo.ts";
import type { NewRun, RunRepo } from "../db/run-repo.ts";
import type { SlotRepo } from "../db/slot-repo.ts";
import type { ViewRepo } from "../db/view-repo.ts";
import type { Json } from "../machines/error-code.ts";
import { isLeasedPool, isRatePool } from "../machines/pools.ts";
import { initialRun } from "../machines/run/state.ts";
import { compileDefinition } from "./engine/compile-definition.ts";
import { checkDefinition, completeDefinition, type FindAgent } from "./engine/definition.ts";
import type { Engine } from "./engine/engine.ts";
import type { StartChild } from "./engine/errands.ts";
import { actionsOf } from "./engine/owned-run.ts";
import { parseDefinition } from "./engine/parse-definition.ts";
import { entryOf, notStartedMessage } from "./engine/run-entry.ts";
import type { TaskRunner } from "./engine/task-runner.ts";
import { explainTask, type Holder } from "./explain-task.ts";
import { type KnownWorkflowsOptions, knownWorkflows } from "./known-workflows.ts";
import {
  type Actor,
  RequestError,
  type StartWorkflow,
  type WorkflowsPort,
  type WorkflowView,
} from "./system.ts";
import { graphOf, journalEntry, viewOfRow, viewsOfTasks } from "./views.ts";
import { createWorkflowControl } from "./workflow-control.ts";
import type { WorkflowHost } from "./workflow-host.ts";

const defaultPageSize = 50;

export interface WorkflowServiceOptions extends Omit<KnownWorkflowsOptions, "findAgent"> {
  readonly incarnation: string;
  readonly findAgent: FindAgent;
  readonly runs: RunRepo;
  readonly commands: CommandRepo;
  readonly approvals: ApprovalRepo;
  readonly views: ViewRepo;
  readonly engine: Engine;
  readonly runner: Pick<TaskRunner, "progress">;
  /** Fills in what the starter of a registered workflow may leave out. */
  readonly defaultInput?: (
    workflow: string,
    input: Readonly<Record<string, Json>>,
  ) => Promise<Readonly<Record<string, Json>>>;
  readonly slots: Pick<SlotRepo, "holders">;
  readonly runQueue: Pick<WorkflowHost["runQueue"], "look" | "place">;
  /** Why an agent takes no tasks now, or undefined. */
  readonly agentTrouble: (name: string) => string | undefined;
  /** When the plan expects a task to begin; epoch ms. */
  readonly expectedStart?: (workflowId: string, taskKey: string) => Promise<number | undefined>;
}

export interface WorkflowService extends WorkflowsPort {
  /** What would be started: found, its input completed, all of it checked. @throws {RequestError} */
  prepare(
    request: Pick<StartWorkflow, "workflow" | "input">,
  ): Promise<{ readonly definition: WorkflowDefinition; readonly input: Json }>;
  /**
   * Starts the run that a task of another run waits for; does nothing when it exists.
   * @throws {RequestError} When it cannot be started at all.
   */
  startChild(parentId: string, child: StartChild): Promise<void>;
}

export function createWorkflowService(options: WorkflowServiceOptions): WorkflowService {
  const { engine, runs, views } = options;
  const control = createWorkflowControl({ ...options, get });

  function definitionFor(workflow: StartWorkflow["workflow"]): WorkflowDefinition {
    if (typeof workflow !== "string") {
      return completeDefinition(parseDefinition(workflow), options.findAgent);
    }
    const definition = options.registered.get(workflow);
    if (definition !== undefined) return completeDefinition(definition, options.findAgent);
    const known = [...options.registered.keys()].join(", ");
    throw new RequestError(
      "INVALID",
      `Cannot start workflow "${workflow}": there is no such workflow`,
      [{ pointer: "/workflow", detail: `must be one of ${known}, or a definition` }],
    );
  }

  const findWorkflow = (id: string) => options.registered.get(id);

  async function prepare(request: Pick<StartWorkflow, "workflow" | "input">) {
    const definition = definitionFor(request.workflow);
    const given = request.input ?? {};
    const isRegistered = typeof request.workflow === "string";
    const input = isRegistered
      ? ((await options.defaultInput?.(definition.id, given)) ?? given)
      : given;
    checkDefinition(definition, input, options.findAgent, findWorkflow);
    return { definition, input: input as Json };
  }

  async function start(request: StartWorkflow, by: Actor): Promise<WorkflowView> {
    const { definition, input } = await prepare(request);
    const { plan, hash } = compileDefinition(definition);
    const run = initialRun(randomUUID(), plan, {
      priority: request.priority ?? 3,
      input,
    });
    const inserted = await insert(definition, {
      run,
      workflow: definition.id,
      title: definition.title,
      definitionHash: hash,
      definition: definition as unknown as Json,
      input,
      idempotencyKey: request.idempotencyKey ?? null,
      actions: actionsOf(plan),
      owner: options.incarnation,
      startEvent: { type: "run.start", paused: request.startPaused ?? false, by: by.actor },
      ...entryOf(definition, input as Json),
      ...(request.tenant === undefined ? {} : { tenant: request.tenant }),
      ...(request.attributes === undefined ? {} : { attributes: request.attributes }),
      ...(request.scheduleId === undefined ? {} : { scheduleId: request.scheduleId }),
    });
    return await required(inserted.type === "skipped" ? inserted.instead : inserted.id);
  }

  /** @throws {RequestError} `CONFLICT` when its definition rejects a start beyond its limit. */
  async function insert(
    definition: WorkflowDefinition,
    run: NewRun,
  ): Promise<
    | { readonly type: "inserted"; readonly id: string }
    | { readonly type: "skipped"; readonly instead: string; readonly message: string }
  > {
    try {
      const { id, queued } = await runs.insert(run);
      engine.wake();
      // Whom it queues for may have ended meanwhile.
      if (queued) options.runQueue.look();
      return { type: "inserted", id };
    } catch (error) {
      if (!(error instanceof RunNotStartedError)) throw error;
      const message = notStartedMessage(error, definition);
      if (error.decision.type === "reject") throw new RequestError("CONFLICT", message);
      return { type: "skipped", instead: error.decision.instead, message };
    }
  }

  async function startChild(parentId: string, child: StartChild): Promise<void> {
    const definition = definitionFor(child.workflow);
    checkDefinition(
      definition,
      child.input as Readonly<Record<string, Json>>,
      options.findAgent,
      findWorkflow,
    );
    const { plan, hash } = compileDefinition(definition);
    const { childId, input, priority, taskKey } = child;
    const parent = { workflowId: parentId, taskKey };
    const rootId = await runs.rootOf(parentId);
    const inserted = await insert(definition, {
      run: initialRun(childId, plan, { priority, input, parent }),
      workflow: definition.id,
      title: definition.title,
      definitionHash: hash,
      definition: definition as unknown as Json,
      input,
      idempotencyKey: `child/${childId}`,
      rootId: rootId ?? parentId,
      actions: actionsOf(plan),
      owner: options.incarnation,
      startEvent: { type: "run.start", paused: false, by: `parent ${parentId}` },
      ...entryOf(definition, input),
    });
    // There is no run whose end the parent could hear of.
    if (inserted.type === "skipped") throw new RequestError("CONFLICT", inserted.message);
  }

  /** Who holds a pool: of one that all nodes share, the rows tell; of the others, this node. */
  async function holdersOf(pool: string): Promise<readonly Holder[]> {
    if (pool === "" || isRatePool(pool)) return [];
    if (!isLeasedPool(pool)) {
      return engine.holders(pool).map((one) => {
        const run = engine.owned().get(one.workflowId);
        const startedAtMs = run?.state.tasks.get(one.taskKey)?.startedAtMs ?? null;
        return startedAtMs === null ? one : { ...one, takenAtMs: startedAtMs };
      });
    }
    return (await options.slots.holders(pool)).filter(({ attempt }) => attempt > 0);
  }

  async function queueReasons(id: string): Promise<string[]> {
    const place = await options.runQueue.place(id);
    if (place === undefined) return [];
    const { position, started } = place;
    return [`the run is number ${position} in the queue for ${started.join(", ")} to end`];
  }

  async function required(id: string): Promise<WorkflowView> {
    const view = await get(id);
    if (view === undefined) throw new RequestError("NOT_FOUND", `Cannot find workflow run "${id}"`);
    return view;
  }

  async function get(id: string): Promise<WorkflowView | undefined> {
    const row = await views.run(id);
    return row === undefined ? undefined : viewOfRow(row);
  }

  async function definitionOf(id: string): Promise<WorkflowDefinition | undefined> {
    return (await views.definition(id)) as unknown as WorkflowDefinition | undefined;
  }

  return {
    ...control,
    pause: (id, by) => control.control(id, { type: "run.pause" }, by),
    resume: (id, by) => control.control(id, { type: "run.resume" }, by),
    cancel: (id, by) => control.control(id, { type: "run.cancel" }, by),
    retry: (id, by, taskKey) =>
      control.control(id, { type: "run.retry", taskKey: taskKey ?? null }, by),
    startChild,
    prepare,
    known: () => knownWorkflows(options),
    start,
    get,
    list: async (query) => {
      const limit = query.limit ?? defaultPageSize;
      const before = query.cursor === undefined ? undefined : readCursor(query.cursor);
      const { cursor: _cursor, limit: _limit, ...search } = query;
      const rows = await views.runs({
        ...search,
        limit: limit + 1,
        ...(before === undefined ? {} : { before }),
      });
      const items = rows.slice(0, limit).map(viewOfRow);
      const last = rows[limit - 1];
      return {
        items,
        nextCursor: rows.length > limit && last !== undefined ? writeCursor(last) : null,
      };
    },
    tasks: async (id) => {
      const definition = await definitionOf(id);
      if (definition === undefined) return undefined;
      const progress = (key: string) => options.runner.progress(id, key);
      return viewsOfTasks(definition, await views.tasks(id), progress);
    },
    history: async (id, after, limit) => {
      if ((await views.run(id)) === undefined) return undefined;
      return (await views.journal(id, after, limit)).map(journalEntry);
    },
    graph: async (id) => {
      const definition = await definitionOf(id);
      return definition === undefined ? undefined : graphOf(definition, await views.tasks(id));
    },
    explain: (id, taskKey) =>
      explainTask(id, taskKey, {
        runs,
        heldBy: engine.heldBy,
        holdersOf,
        agentTrouble: options.agentTrouble,
        queueReasons,
        ...(options.expectedStart === undefined ? {} : { expectedStart: options.expectedStart }),
      }),
  };
}

function writeCursor(row: { readonly createdAtMs: number; readonly id: string }): string {
  return Buffer.from(`${row.createdAtMs}/${row.id}`).toString("base64url");
}

function readCursor(cursor: string): { createdAtMs: number; id: string } {
  const [at, id] = Buffer.from(cursor, "base64url").toString().split("/");
  const createdAtMs = Number(at);
  if (id === undefined || !Number.isFinite(createdAtMs)) {
    throw new RequestError("INVALID", "Cannot page: the cursor is not one of ours", [
      { pointer: "/cursor", detail: "must be a nextCursor of an earlier page" },
    ]);
  }
  return { createdAtMs, id };
}
