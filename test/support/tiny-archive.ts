/**
 * An archive of a few messages, written straight into the target tables: for tests of single actions.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Sql } from "postgres";
import { baseDdl } from "../../actors/archive/target-schema.ts";

export const tinyRunId = "tiny-run";

/** Messages with ids from 1, one per body, a minute apart; all in January 2024. */
export async function createTinyArchive(
  sql: Sql,
  bodies: readonly (string | Buffer)[],
): Promise<void> {
  for (const statement of baseDdl) await sql.unsafe(statement);
  await sql.unsafe(`create table if not exists archive.messages_2024_01
    partition of archive.messages for values from ('2024-01-01') to ('2024-02-01')`);
  await sql`insert into archive.migrations
    (run_id, source, id_base, started_at, finished_at, read, migrated, rejected)
    values (${tinyRunId}, 'sqlite:tiny.db', 0, now(), now(), ${bodies.length}, ${bodies.length}, 0)`;
  await sql`insert into archive.conversations (source_id, title) values ('c1', 'tiny')`;
  await sql`insert into archive.users (source_id, username) values ('u1', 'someone')`;
  for (const [index, body] of bodies.entries()) {
    const raw = Buffer.from(body);
    const id = index + 1;
    await sql`
      insert into archive.messages (id, conversation_id, source_id, sent_at, user_id, body_bytes,
        body_sha256, batch, run_id)
      values (${id}, 1, ${`m${id}`}, ${new Date(Date.UTC(2024, 0, 1, 0, id))}, 1, ${raw.length},
        ${createHash("sha256").update(raw).digest()}, 0, ${tinyRunId})`;
    await sql`insert into archive.bodies (message_id, raw) values (${id}, ${raw})`;
  }
}
