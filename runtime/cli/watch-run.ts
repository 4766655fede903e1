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
/** Events come from the node that owns the run; what another node does is looked up this often. */
const LOOK_EVERY_MS = 2_000;

export interface StartedRun {
  readonly run: WorkflowView;
  /** True when an earlier process began it. */
  readonly resumed: boolean;
  readonly wasPaused: boolean;
}

/**
 * Continues the unfinished run of this workflow, or starts one.
 *
 * @param asked.archive Undefined takes the archive that the unfinished run has, or the node's default.
 * @param asked.database `external`: that of DATABASE_URL, which other nodes may use too.
 * @throws {RequestError} `CONFLICT` when the unfinished run has another archive.
 */
export async function startOrResume(
  system: System,
  workflow: string,
  asked: { readonly archive: string | undefined; readonly database: "embedded" | "external" },
): Promise<StartedRun> {
  const unfinished = await findUnfinished(system, workflow);
  if (unfinished === undefined) {
    const input: { readonly [key: string]: Json } =
      asked.archive === undefined ? {} : { archive: asked.archive };
    const run = await system.workflows.start({ workflow, input }, CLI);
    return { run, resumed: false, wasPaused: false };
  }
  const archive = archiveOf(unfinished);
  if (asked.archive !== undefined && asked.archive !== archive) {
    const [place, other] =
      asked.database === "embedded"
        ? ["this data folder", "use another --data-dir"]
        : ["this database", "set DATABASE_URL to another one"];
    throw new RequestError(
      "CONFLICT",
      `Cannot start ${workflow} on "${asked.archive}": run ${unfinished.id} on "${archive}" is unfinished in ${place}; ` +
        `continue it without --archive, cancel it with "spectra cancel ${unfinished.id}", or ${other}`,
    );
  }
  if (unfinished.status !== "paused") return { run: unfinished, resumed: true, wasPaused: false };
  const reason = "continued by the command line";
  const run = await system.workflows.resume(unfinished.id, { ...CLI, reason });
  return { run, resumed: true, wasPaused: true };
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

export interface WatchOptions {
  readonly signal: AbortSignal;
  /** A look at the database that failed; the next one follows. */
  onLookFailed(error: unknown): void;
}

/**
 * Resolves with the last state when the run has ended; rejects with the signal's reason.
 * Follows the events of this node, and looks at the database when these say nothing of the run:
 * another node may own it.
 */
export async function watchRun(
  system: System,
  id: string,
  listener: RunListener,
  { signal, onLookFailed }: WatchOptions,
): Promise<RunState> {
  const events: LiveEvent[] = [];
  let seen: RunState | undefined;
  let heard = 0;
  let wake = (): void => undefined;
  const unsubscribe = system.live.subscribe((event) => {
    if (isAbout(event, id)) heard += 1;
    events.push(event);
    wake();
  });
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort);
  let stopLooking = (): void => undefined;
  try {
    let state = await readState(system, id, events);
    listener(state);
    const onSeen = (next: RunState): void => {
      seen = next;
      wake();
    };
    stopLooking = lookWhenQuiet(
      () => readOnce(system, id),
      () => heard,
      onSeen,
      onLookFailed,
    );
    while (!hasEnded(state.workflow.status)) {
      signal.throwIfAborted();
      const before = state;
      const event = seen === undefined ? events.shift() : undefined;
      if (seen !== undefined) {
        state = seen;
        seen = undefined;
        tellChanges(before, state, listener);
      } else if (event !== undefined) {
        state = applyEvent(before, event);
        if (state !== before) listener(state, changeOf(before, event));
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    return state;
  } finally {
    stopLooking();
    signal.removeEventListener("abort", onAbort);
    unsubscribe();
  }
}

/** Reads while no event is heard, one reading at a time; what events overtook is dropped. */
function lookWhenQuiet(
  read: () => Promise<RunState>,
  heard: () => number,
  onSeen: (state: RunState) => void,
  onFailed: (error: unknown) => void,
): () => void {
  let known = heard();
  let isReading = false;
  const timer = setInterval(() => {
    const startedAt = heard();
    const isQuiet = startedAt === known;
    known = startedAt;
    if (!isQuiet || isReading) return;
    isReading = true;
    void read()
      .then((state) => {
        if (heard() === startedAt) onSeen(state);
      }, onFailed)
      .finally(() => {
        isReading = false;
      });
  }, LOOK_EVERY_MS);
  return () => clearInterval(timer);
}

function isAbout({ body }: LiveEvent, id: string): boolean {
  if (body.type === "workflow") return body.workflow.id === id;
  return body.type === "task" && body.workflowId === id;
}

/** The state after all events so far: read again while events arrive during the reading. */
async function readState(system: System, id: string, events: LiveEvent[]): Promise<RunState> {
  for (let reads = 1; ; reads++) {
    events.length = 0;
    const state = await readOnce(system, id);
    const touched = events.some((event) => applyEvent(state, event) !== state);
    if (!touched || reads === MAX_SNAPSHOT_READS) return state;
  }
}

async function readOnce(system: System, id: string): Promise<RunState> {
  // The run first: when it has ended, the tasks that are read after it are final.
  const workflow = await system.workflows.get(id);
  const [tasks, graph] = await Promise.all([
    system.workflows.tasks(id),
    system.workflows.graph(id),
  ]);
  if (workflow === undefined || tasks === undefined || graph === undefined) {
    throw new RequestError("NOT_FOUND", `Cannot follow run "${id}": it is not there`);
  }
  return {
    workflow,
    stages: graph.stages,
    tasks: new Map(tasks.filter((task) => task.of === undefined).map((task) => [task.key, task])),
    agents: new Map(system.agents.list().map((agent) => [agent.name, isHealthy(agent)])),
  };
}

/** One call for the whole, and one for each task that moved on. */
function tellChanges(before: RunState, state: RunState, listener: RunListener): void {
  listener(state);
  for (const after of state.tasks.values()) {
    const old = before.tasks.get(after.key);
    if (old?.status !== after.status || old.attempt !== after.attempt) {
      listener(state, { before: old, after });
    }
  }
}

function changeOf(before: RunState, { body }: LiveEvent) {
  if (body.type !== "task") return undefined;
  return { before: before.tasks.get(body.task.key), after: body.task };
}
