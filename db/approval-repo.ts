/**
 * Tokens that complete an approval from outside: whoever has one decides, once.
 *
 * @module
 */

import { and, eq, isNull, sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { approvals } from "./schema/workflows.ts";

export interface Approval {
  readonly token: string;
  readonly workflowId: string;
  readonly taskKey: string;
}

export interface ApprovalRepo {
  /** Opening the same task's approval again keeps the first token. */
  open(approval: Approval & { readonly expiresAtMs: number | null }): Promise<void>;
  /** The token's approval, unless it was used, has expired, or never was. */
  find(token: string): Promise<Approval | undefined>;
  /** Tokens of a run that still wait. */
  waiting(
    workflowId: string,
  ): Promise<readonly (Approval & { readonly expiresAtMs: number | null })[]>;
  /** True for the first caller only. */
  complete(token: string): Promise<boolean>;
}

export function createApprovalRepo(db: Database): ApprovalRepo {
  const isOpen = sql`${approvals.completedAt} is null and (${approvals.expiresAt} is null or ${approvals.expiresAt} > clock_timestamp())`;
  return {
    open: async ({ token, workflowId, taskKey, expiresAtMs }) => {
      await db.execute(sql`
        insert into spectra.approvals (token, workflow_id, task_key, expires_at)
        select ${token}, ${workflowId}, ${taskKey}, to_timestamp(${expiresAtMs}::float8 / 1000)
        where not exists (select 1 from spectra.approvals a where a.workflow_id = ${workflowId}
          and a.task_key = ${taskKey} and a.completed_at is null)`);
    },
    find: async (token) => {
      const [row] = await db
        .select({
          token: approvals.token,
          workflowId: approvals.workflowId,
          taskKey: approvals.taskKey,
        })
        .from(approvals)
        .where(and(eq(approvals.token, token), isOpen));
      return row;
    },
    waiting: async (workflowId) => {
      const rows = await db
        .select({
          token: approvals.token,
          workflowId: approvals.workflowId,
          taskKey: approvals.taskKey,
          expiresAtMs: sql<
            number | null
          >`(extract(epoch from ${approvals.expiresAt}) * 1000)::float8`,
        })
        .from(approvals)
        .where(and(eq(approvals.workflowId, workflowId), isNull(approvals.completedAt)));
      return rows;
    },
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
