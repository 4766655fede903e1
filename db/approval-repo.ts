/**
 * Tokens that complete an approval from outside: whoever has one decides, once.
 *
 * @module
 */

import { and, eq, sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { approvals, tasks } from "./schema/workflows.ts";

export interface Approval {
  readonly token: string;
  readonly workflowId: string;
  readonly taskKey: string;
  readonly expiresAtMs: number | null;
  /** Nobody can decide any more. */
  readonly decided: boolean;
}

export interface ApprovalRepo {
  /** Opening the same task's approval again keeps the first token, until that has expired. */
  open(approval: Omit<Approval, "decided">): Promise<void>;
  /** The token's approval, decided or not. */
  read(token: string): Promise<Approval | undefined>;
  /** Approvals of a run whose tasks still wait. */
  waiting(workflowId: string): Promise<readonly Approval[]>;
  /** True for the first caller only. */
  complete(token: string): Promise<boolean>;
}

export function createApprovalRepo(db: Database): ApprovalRepo {
  const isOpen = sql`${approvals.completedAt} is null and (${approvals.expiresAt} is null or ${approvals.expiresAt} > clock_timestamp())`;
  const columns = {
    token: approvals.token,
    workflowId: approvals.workflowId,
    taskKey: approvals.taskKey,
    expiresAtMs: sql<number | null>`(extract(epoch from ${approvals.expiresAt}) * 1000)::float8`,
    decided: sql<boolean>`not (${isOpen})`,
  };
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
      const [row] = await db.select(columns).from(approvals).where(eq(approvals.token, token));
      return row;
    },
    waiting: async (workflowId) =>
      await db
        .select(columns)
        .from(approvals)
        .innerJoin(
          tasks,
          and(eq(tasks.workflowId, approvals.workflowId), eq(tasks.key, approvals.taskKey)),
        )
        .where(and(eq(approvals.workflowId, workflowId), isOpen, eq(tasks.status, "running"))),
    complete: async (token) => {
      const rows = await db
        .update(approvals)
        .set({ completedAt: sql`clock_timestamp()` })
        .where(and(eq(approvals.token, token), isOpen))
        .returning({ token: approvals.token });
      return rows.length > 0;
    },
  };
}
