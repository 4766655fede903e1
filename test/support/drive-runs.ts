/**
 * What people and other systems do while runs of the crash workload go on: signals, approvals, cancels.
 * All of it may be done twice, and by several nodes.
 *
 * @module
 */

import type { OpenDatabase } from "../../db/database.ts";
import { RequestError } from "../../runtime/system.ts";
import type { TestHost } from "./workflow-host.ts";

interface OpenRun extends Record<string, unknown> {
  readonly id: string;
  readonly workflow: string;
  /** Status by key. */
  readonly tasks: Readonly<Record<string, string>>;
  readonly below: string | null;
  /** A schedule starts one after the other: only who comes last waits for them. */
  readonly scheduled: boolean;
}

const actor = { actor: "test" };

/** Gives each run what it waits for; returns those that shall end, and have not. */
export async function driveRuns(
  { sql }: OpenDatabase,
  node: TestHost,
  isLast: boolean,
): Promise<ReadonlySet<string>> {
  const runs = await sql<OpenRun[]>`
    select w.id, w.workflow, jsonb_object_agg(t.key, t.status) as tasks,
      (select min(b.status) from spectra.workflows c join spectra.tasks b on b.workflow_id = c.id
        where c.parent_id = w.id) as below, w.schedule_id is not null as scheduled
    from spectra.workflows w join spectra.tasks t on t.workflow_id = w.id
    where w.status in ('pending', 'running', 'paused') and w.workflow <> 'busy' group by w.id`;
  for (const run of runs) await drive(node, run);
  return new Set(
    runs.filter((run) => (isLast || !run.scheduled) && !isParked(run)).map(({ id }) => id),
  );
}

async function drive(node: TestHost, { id, workflow, tasks, below }: OpenRun): Promise<void> {
  const by = "test";
  if (tasks["told"] === "running") {
    const signal = { type: "run.signal", name: "go", payload: { to: id }, by };
    await node.host.turns.post(id, signal, `go/${id}`);
  }
  if (tasks["allowed"] === "running") {
    const approval = {
      type: "task.resolve",
      taskKey: "allowed",
      as: "succeeded",
      reason: "yes",
      by,
    };
    await node.host.turns.post(id, approval, `allow/${id}`);
  }
  node.host.engine.wake();
  const isAtWork = tasks["one"] === "running" && below === "running";
  if (workflow === "endless" && isAtWork) await unlessOver(node.workflows.cancel(id, actor));
}

/** Waits for an operator: as good as ended. */
function isParked({ tasks }: OpenRun): boolean {
  const open = Object.values(tasks).filter((status) => status !== "succeeded");
  return open.length > 0 && open.every((status) => status === "parked");
}

async function unlessOver(command: Promise<unknown>): Promise<void> {
  try {
    await command;
  } catch (error) {
    const isOver = error instanceof RequestError && error.code !== "INVALID";
    if (!isOver) throw error;
  }
}
