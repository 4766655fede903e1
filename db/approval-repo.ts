/**
 * Tokens that complete an approval from outside: whoever has one decides, once.
 *
 * @module
 */

import { and, eq, isNull, sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { approvals, tasks, timers } from "./schema/workflows.ts";

export interface Approval {
  readonly token: string;
  readonly workflowId: string;
  readonly taskKey: string;
  /** Null for no deadline, and while the deadline's clock stands still in a pause. */
  readonly expiresAtMs: number | null;
  /** Nobody can decide any more: decided, expired, or the task waits no longer. */
  readonly decided: boolean;
}

/** An approval with what became of its task. */
export interface ReadApproval extends Approval {
  readonly createdAtMs: number;
  /** Status of its task now. */
  readonly taskStatus: string;
}

export interface ApprovalRepo {
  /** Opening the same task's approval again keeps the first token, until that has expired. */
  open(approval: Omit<Approval, "decided">): Promise<void>;
  /** The token's approval, decided or not. */
  read(token: string): Promise<ReadApproval | undefined>;
  /** Approvals of a run whose tasks still wait. */
  waiting(workflowId: string): Promise<readonly Approval[]>;
  /** True for the first caller only. */
  complete(token: string): Promise<boolean>;
}

export function createApprovalRepo(db: Database): ApprovalRepo {
  // The task's own timer says when it expires: it stands still while the run is paused.
  const dueAt = sql`case when ${timers.key} is null then ${approvals.expiresAt} else ${timers.dueAt} end`;
  const isOpen = sql`${approvals.completedAt} is null and ${tasks.status} = 'running' and (${dueAt} is null or ${dueAt} > clock_timestamp())
    and not exists (select 1 from spectra.approvals later where later.workflow_id = ${approvals.workflowId}
      and later.task_key = ${approvals.taskKey} and later.created_at > ${approvals.createdAt})`;
  const columns = {
    token: approvals.token,
    workflowId: approvals.workflowId,
    taskKey: approvals.taskKey,
    expiresAtMs: sql<number | null>`(extract(epoch from ${dueAt}) * 1000)::float8`,
    decided: sql<boolean>`not (${isOpen})`,
    createdAtMs: sql<number>`(extract(epoch from ${approvals.createdAt}) * 1000)::float8`,
    taskStatus: tasks.status,
  };
  const select = () =>
    db
      .select(columns)
      .from(approvals)
      .innerJoin(
        tasks,
        and(eq(tasks.workflowId, approvals.workflowId), eq(tasks.key, approvals.taskKey)),
      )
      .leftJoin(
        timers,
        and(
          eq(timers.workflowId, approvals.workflowId),
          sql`${timers.key} = 'schedule-to-close/' || ${approvals.taskKey}`,
        ),
      );
  return {
    open: async ({ token, workflowId, taskKey, expiresAtMs }) => {
      await db.execute(sql`
        insert into spectra.approvals (token, workflow_id, task_key, expires_at)
        select ${token}, ${workflowId}, ${taskKey}, to_timestamp(${expiresAtMs}::float8 / 1000)
        where not exists (select 1 from spectra.approvals a where a.workflow_id = ${workflowId}
          and a.task_key = ${taskKey} and a.completed_at is null
          and (a.expires_at is null or a.expires_at > clock_timestamp()))`);
    },
    read: async (token) => {
      const [row] = await select().where(eq(approvals.token, token));
      return row;
    },
    waiting: async (workflowId) =>
      await select().where(and(eq(approvals.workflowId, workflowId), isOpen)),
    complete: async (token) => {
      const rows = await db
        .update(approvals)
        .set({ completedAt: sql`clock_timestamp()` })
        .where(and(eq(approvals.token, token), isNull(approvals.completedAt)))
        .returning({ token: approvals.token });
      return rows.length > 0;
    },
  };
}
