/**
 * Starts or resumes a workflow run on this node, and follows it to its end.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import type { LiveEvent, System, TaskView, WorkflowView } from "../system.ts";
import { RequestError } from "../system.ts";
import { applyEvent, hasEnded, isHealthy, type RunState } from "./run-state.ts";

/** Who the journal names for what the command line asks. */
const CLI = { actor: "cli" } as const;
const UNFINISHED = ["running", "pending", "paused"] as const;
/** Times that a snapshot is read again because the run changed meanwhile. */
const MAX_SNAPSHOT_READS = 10;

export interface StartedRun {
  readonly run: WorkflowView;
  /** True when an earlier process began it. */
  readonly resumed: boolean;
}

/**
 * Continues the unfinished run of this workflow, or starts one.
 *
 * @param input Undefined fields take what the unfinished run has.
 * @throws {RequestError} `CONFLICT` when the unfinished run has another archive.
 */
export async function startOrResume(
  system: System,
  workflow: string,
  input: { readonly archive: string | undefined },
  inputOfNewRun: () => Promise<{ readonly [key: string]: Json }>,
): Promise<StartedRun> {
  const unfinished = await findUnfinished(system, workflow);
  if (unfinished === undefined) {
    const run = await system.workflows.start({ workflow, input: await inputOfNewRun() }, CLI);
    return { run, resumed: false };
  }
  const archive = archiveOf(unfinished);
  if (input.archive !== undefined && input.archive !== archive) {
    throw new RequestError(
      "CONFLICT",
      `Cannot start ${workflow} on "${input.archive}": run ${unfinished.id} on "${archive}" is unfinished in this data folder; ` +
        `continue it without --archive, cancel it with "spectra cancel ${unfinished.id}", or use another --data-dir`,
    );
  }
  if (unfinished.status !== "paused") return { run: unfinished, resumed: true };
  const reason = "continued by the command line";
  return { run: await system.workflows.resume(unfinished.id, { ...CLI, reason }), resumed: true };
}

async function findUnfinished(system: System, workflow: string): Promise<WorkflowView | undefined> {
  for (const status of UNFINISHED) {
    const { items } = await system.workflows.list({ workflow, status, limit: 1 });
    if (items[0] !== undefined) return items[0];
  }
  return undefined;
}

function archiveOf(run: WorkflowView): string | undefined {
  const archive = (run.input as { archive?: unknown } | null)?.archive;
  return typeof archive === "string" ? archive : undefined;
}

export interface RunListener {
  /** `task` is set when one task changed, with its view before. The first call has no task. */
  (
    state: RunState,
    change?: { readonly before: TaskView | undefined; readonly after: TaskView },
  ): void;
}

/** Resolves with the last state when the run has ended; rejects with the signal's reason. */
export async function watchRun(
  system: System,
  id: string,
  listener: RunListener,
  signal: AbortSignal,
): Promise<RunState> {
  const events: LiveEvent[] = [];
  let wake = (): void => undefined;
  const unsubscribe = system.live.subscribe((event) => {
    events.push(event);
    wake();
  });
  signal.addEventListener("abort", () => wake());
  try {
    let state = await readState(system, id, events);
    listener(state);
    while (!hasEnded(state.workflow.status)) {
      signal.throwIfAborted();
      const event = events.shift();
      if (event === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const before = state;
      state = applyEvent(before, event);
      if (state !== before) listener(state, changeOf(before, event));
    }
    return state;
  } finally {
    unsubscribe();
  }
}

/** The state after all events so far: read again while events arrive during the reading. */
async function readState(system: System, id: string, events: LiveEvent[]): Promise<RunState> {
  for (let reads = 1; ; reads++) {
    events.length = 0;
    const workflow = await system.workflows.get(id);
    const [tasks, graph] = await Promise.all([
      system.workflows.tasks(id),
      system.workflows.graph(id),
    ]);
    if (workflow === undefined || tasks === undefined || graph === undefined) {
      throw new RequestError("NOT_FOUND", `Cannot follow run "${id}": it is not there`);
    }
    const state = {
      workflow,
      stages: graph.stages,
      tasks: new Map(tasks.map((task) => [task.key, task])),
      agents: new Map(system.agents.list().map((agent) => [agent.name, isHealthy(agent)])),
    };
    const touched = events.some((event) => applyEvent(state, event) !== state);
    if (!touched || reads === MAX_SNAPSHOT_READS) return state;
  }
}

function changeOf(before: RunState, { body }: LiveEvent) {
  if (body.type !== "task") return undefined;
  return { before: before.tasks.get(body.task.key), after: body.task };
}
