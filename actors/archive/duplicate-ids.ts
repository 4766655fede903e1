/**
 * Settles records of one run that have the same id, after all batches are loaded.
 *
 * Done in the target and by position, so that the outcome is the same with any number of loaders, after any
 * resume, and takes no memory here: the first in source order wins.
 *
 * @module
 */

import type { Sql } from "postgres";
import { checksumSql } from "./migration-batch.ts";
import { holdRun, type OwnedRun } from "./migration-run.ts";
import { transaction } from "./transaction.ts";

/**
 * Moves later records to `archive.rejects` as `DUPLICATE_ID`. With `keep`, only those whose body equals the
 * body of an earlier one of that id; others stay as `<id>#2`, `<id>#3`…. Idempotent; one transaction.
 *
 * @returns How many were moved.
 * @throws {AgentError} `RUN_LOST`
 */
export async function settleDuplicateIds(
  sql: Sql,
  run: OwnedRun,
  sameId: "reject" | "keep",
): Promise<number> {
  return transaction(sql, async (tx) => {
    await holdRun(tx, run);
    await tx`
      create temporary table same_ids on commit drop as
      select id, sent_at, source_id, batch,
        row_number() over (partition by source_id order by id) as nth,
        row_number() over (partition by source_id, body_sha256 order by id) as nth_body,
        first_value(id) over (partition by source_id order by id) as first_id
      from archive.messages
      where run_id = ${run.runId} and source_id in (
        select source_id from archive.messages where run_id = ${run.runId}
        group by source_id having count(*) > 1)`;
    const isMoved = sameId === "reject" ? tx`nth > 1` : tx`nth > 1 and nth_body > 1`;
    await tx`
      insert into archive.rejects (run_id, position, source_id, reason, detail)
      select ${run.runId}, id - ${run.idBase}::bigint, source_id, 'DUPLICATE_ID',
        'the record at position ' || (first_id - ${run.idBase}::bigint) || ' has the same id'
      from same_ids where ${isMoved}`;
    await tx`
      delete from archive.bodies where message_id in (select id from same_ids where ${isMoved})`;
    const moved = await tx`
      delete from archive.messages m using same_ids s
      where m.id = s.id and m.sent_at = s.sent_at and ${isMoved} returning m.id`;
    if (sameId === "keep") {
      await tx`
        update archive.messages m set source_id = s.source_id || '#' || s.nth
        from same_ids s where m.id = s.id and m.sent_at = s.sent_at and s.nth > 1`;
    }
    if (moved.length > 0) {
      await tx`
        update archive.batches b set migrated = b.migrated - s.moved, rejected = b.rejected + s.moved,
          checksum = coalesce((
            select ${tx.unsafe(checksumSql)}
            from archive.messages m
            join archive.bodies r on r.message_id = m.id
            cross join lateral (select sha256(r.raw) as body) h
            where m.run_id = ${run.runId} and m.batch = b.batch), encode(sha256(''), 'hex'))
        from (select batch, count(*)::int as moved from same_ids where ${isMoved} group by batch) s
        where b.run_id = ${run.runId} and b.batch = s.batch`;
    }
    return moved.length;
  });
}
