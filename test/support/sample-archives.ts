/**
 * Archives made of the SpamAssassin corpus: all three formats, large ones, and damaged ones.
 *
 * @module
 */

import { createWriteStream } from "node:fs";
import { mkdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import Database from "libsql";
import { mailDate, parseMailHeaders, sender } from "../../actors/archive/mail-headers.ts";
import { toMbox } from "../../actors/archive/mbox-splitter.ts";
import {
  type CorpusMail,
  sampleGroups,
  tgarchiveDdl,
  writeTgarchive,
} from "../../actors/archive/sample.ts";
import { takeCorpus } from "./migrated-archive.ts";

const corpusSize = 6_046;

export interface SampleOptions {
  /** Mails, the same share of every group. Default: all 6,046. */
  readonly limit?: number;
}

/** `sqlite:` URL of a tgarchive database in `folder`. */
export async function buildSqliteSample(
  folder: string,
  { limit = corpusSize }: SampleOptions = {},
): Promise<string> {
  const path = join(folder, "sample.sqlite");
  await writeTgarchive(path, takeCorpus(limit));
  return `sqlite:${path}`;
}

/** `telegram:` URL of a full export with one chat for each group. */
export async function buildTelegramSample(
  folder: string,
  { limit = corpusSize }: SampleOptions = {},
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "result.json");
  await pipeline(Readable.from(telegramJson(takeCorpus(limit))), createWriteStream(path));
  return `telegram:${path}`;
}

async function* telegramJson(mails: AsyncIterable<CorpusMail>): AsyncGenerator<string> {
  yield '{\n "about": "an export {with} [brackets]",\n "chats": {\n  "about": "",\n  "list": [';
  let open: string | undefined;
  let id = 0;
  for await (const mail of mails) {
    id += 1;
    const isNewChat = mail.group !== open;
    if (isNewChat) {
      const chatId = 1_000 + sampleGroups.indexOf(mail.group);
      yield `${open === undefined ? "" : "\n   ]},"}\n   {"name": "${mail.group}", "type": "private_group", "id": ${chatId}, "messages": [`;
      open = mail.group;
    }
    yield `${isNewChat ? "" : ","}\n    ${JSON.stringify(telegramMessage(id, mail))}`;
  }
  yield `${open === undefined ? "" : "\n   ]}"}\n  ]\n }\n}\n`;
}

function telegramMessage(id: number, { bytes }: CorpusMail): Record<string, unknown> {
  const headers = parseMailHeaders(bytes);
  const user = sender(headers);
  const date = mailDate(headers);
  const text = textOf(bytes);
  const middle = Math.floor(text.length / 2);
  return {
    id,
    type: "message",
    ...(typeof date === "string"
      ? {}
      : {
          date: date.toISOString().slice(0, 19),
          date_unixtime: String(Math.floor(date.getTime() / 1_000)),
        }),
    ...(user === null
      ? {}
      : { from: user.firstName ?? user.username, from_id: `user-${user.sourceId}` }),
    // Every third text is a list with an entity, as formatted messages are.
    text: id % 3 === 0 ? [text.slice(0, middle), { type: "bold", text: text.slice(middle) }] : text,
  };
}

function textOf(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return (text.includes("\uFFFD") ? bytes.toString("latin1") : text).toWellFormed();
}

/** `mbox:` URL of one mbox file. */
export async function buildMboxSample(
  folder: string,
  { limit = corpusSize }: SampleOptions = {},
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "sample.mbox");
  const parts = async function* (): AsyncGenerator<Buffer> {
    for await (const { bytes } of takeCorpus(limit)) {
      const { separator, content } = withoutSeparator(bytes);
      yield toMbox(separator, content);
    }
  };
  await pipeline(Readable.from(parts()), createWriteStream(path));
  return `mbox:${path}`;
}

/** `mbox:` URL of a folder with one message per file, a folder for each group. */
export async function buildMailFolder(
  folder: string,
  { limit = corpusSize }: SampleOptions = {},
): Promise<string> {
  for await (const { group, name, bytes } of takeCorpus(limit)) {
    await mkdir(join(folder, group), { recursive: true });
    await writeFile(join(folder, group, name), withoutSeparator(bytes).content);
  }
  return `mbox:${folder}`;
}

/** Most mails of the corpus start with the line that separated them in an mbox. */
export function withoutSeparator(bytes: Buffer): { separator: string; content: Buffer } {
  const end = bytes.indexOf("\n");
  if (!bytes.subarray(0, 5).equals(Buffer.from("From ")) || end < 0) {
    return { separator: "From MAILER-DAEMON Thu Jan  1 00:00:00 1970", content: bytes };
  }
  return { separator: bytes.toString("latin1", 0, end), content: bytes.subarray(end + 1) };
}

export interface LargeOptions {
  /** Bodies are cut to this. Default: whole. */
  readonly maxBodyBytes?: number;
}

/** `sqlite:` URL of a database with `rows` messages: the corpus again and again, with new ids and dates. */
export async function buildLargeArchive(
  path: string,
  rows: number,
  { maxBodyBytes = Number.MAX_SAFE_INTEGER }: LargeOptions = {},
): Promise<string> {
  const bodies: { content: string; group: string; userId: number }[] = [];
  const users = new Map<string, number>();
  for await (const { group, bytes } of takeCorpus(Math.min(rows, corpusSize))) {
    const name = sender(parseMailHeaders(bytes))?.sourceId ?? "nobody";
    const userId = users.get(name) ?? users.size + 1;
    users.set(name, userId);
    bodies.push({ content: textOf(bytes).slice(0, maxBodyBytes), group, userId });
  }
  const db = new Database(path);
  db.exec("pragma synchronous = off; pragma journal_mode = off; begin");
  db.exec(tgarchiveDdl);
  const insertUser = db.prepare("insert into users (id, username) values (?, ?)");
  for (const [name, id] of users) insertUser.run([id, name]);
  const insert = db.prepare(
    "insert into messages (id, type, date, content, user_id) values (?, ?, ?, ?, ?)",
  );
  const startMs = Date.UTC(2020, 0, 1);
  for (let index = 0; index < rows; index += 1) {
    const body = bodies[index % bodies.length]!;
    // Five years of messages, whatever their number.
    const at = new Date(startMs + Math.floor((index / rows) * 5 * 365 * 86_400) * 1_000);
    insert.run([index + 1, body.group, at.toISOString(), body.content, body.userId]);
  }
  db.exec("commit");
  db.close();
  return `sqlite:${path}`;
}

export interface PlainRow {
  readonly id?: number | string | null;
  readonly type?: string | null;
  readonly date?: string | number | null;
  readonly editDate?: string | null;
  readonly content?: string | null;
  /** Hex of bytes that are stored as text, valid or not. */
  readonly contentHex?: string;
  readonly replyTo?: number | null;
  readonly userId?: number | null;
  readonly mediaId?: number | null;
}

/** A database with one user (id 1) and the rows given; `id` is no key, so that anything can stand in it. */
export function buildPlainArchive(path: string, rows: readonly PlainRow[]): string {
  const db = new Database(path);
  db.exec("pragma foreign_keys = off; begin");
  db.exec(
    tgarchiveDdl
      .replace("messages (id integer primary key", "messages (id integer")
      .replace("type text not null, date text", "type text, date timestamp"),
  );
  db.prepare("insert into users (id, username, first_name) values (1, 'ann', 'Ann')").run();
  const insert = db.prepare(
    `insert into messages (id, type, date, edit_date, content, reply_to, user_id, media_id)
     values (?, ?, ?, ?, coalesce(cast(? as text), ?), ?, ?, ?)`,
  );
  for (const [index, row] of rows.entries()) {
    insert.run([
      row.id === undefined ? index + 1 : row.id,
      row.type === undefined ? "message" : row.type,
      row.date === undefined ? "2024-05-06T07:08:09Z" : row.date,
      row.editDate ?? null,
      row.contentHex === undefined ? null : Buffer.from(row.contentHex, "hex"),
      row.content === undefined ? `text ${index + 1}` : row.content,
      row.replyTo ?? null,
      row.userId === undefined ? 1 : row.userId,
      row.mediaId ?? null,
    ]);
  }
  db.exec("commit");
  db.close();
  return `sqlite:${path}`;
}

/** Inputs that no source can be opened from (or read to its end), by name, with the code that says so. */
export async function buildDamagedArchives(
  folder: string,
): Promise<readonly { name: string; url: string; code: string }[]> {
  const at = (name: string): string => join(folder, name);
  await mkdir(at("empty-folder"), { recursive: true });
  await writeFile(at("empty"), "");
  await writeFile(at("text.sqlite"), "This is not a database. ".repeat(500));
  await writeFile(at("not-an-export.json"), '{"name": "x", "members": []}');
  await writeFile(at("list.json"), "[1, 2, 3]");
  await writeFile(at("broken.json"), '{"messages": [{"id": 1} {"id": 2}]}');
  await writeFile(
    at("cut.json"),
    '{"name": "x", "id": 1, "messages": [{"id": 1, "text": "a"}, {"id"',
  );
  await writeFile(at("cut-inside.json"), '{"id": 1, "messages": [{"id": 1}, {"id": 2}');
  await writeFile(at("plain.mbox"), "Subject: no separator\n\nbody\n");
  buildPlainArchive(
    at("cut.sqlite"),
    Array.from({ length: 500 }, () => ({ content: "x".repeat(1_000) })),
  );
  await truncate(at("cut.sqlite"), 100_000);
  const other = new Database(at("other.sqlite"));
  other.exec("create table notes (id integer); create table users (id integer, username text)");
  other.close();
  const columns = new Database(at("columns.sqlite"));
  columns.exec(
    "create table users (id integer, username text); create table messages (id integer, content text)",
  );
  columns.close();
  return [
    { name: "an unknown scheme", url: "ftp:/x", code: "ARCHIVE_URL" },
    { name: "no path", url: "sqlite:", code: "ARCHIVE_URL" },
    ...["sqlite", "telegram", "mbox"].flatMap((format) => [
      {
        name: `a missing ${format} file`,
        url: `${format}:${at("missing")}`,
        code: "ARCHIVE_NOT_FOUND",
      },
      { name: `an empty ${format} file`, url: `${format}:${at("empty")}`, code: "ARCHIVE_EMPTY" },
    ]),
    { name: "a folder as a database", url: `sqlite:${folder}`, code: "ARCHIVE_NOT_A_DATABASE" },
    {
      name: "a folder without export",
      url: `telegram:${at("empty-folder")}`,
      code: "ARCHIVE_NOT_FOUND",
    },
    { name: "a folder without mail", url: `mbox:${at("empty-folder")}`, code: "ARCHIVE_EMPTY" },
    {
      name: "text as a database",
      url: `sqlite:${at("text.sqlite")}`,
      code: "ARCHIVE_NOT_A_DATABASE",
    },
    {
      name: "a database that is cut off",
      url: `sqlite:${at("cut.sqlite")}`,
      code: "ARCHIVE_TRUNCATED",
    },
    {
      name: "a database without messages",
      url: `sqlite:${at("other.sqlite")}`,
      code: "ARCHIVE_SCHEMA",
    },
    {
      name: "a table without columns",
      url: `sqlite:${at("columns.sqlite")}`,
      code: "ARCHIVE_SCHEMA",
    },
    {
      name: "JSON that is no export",
      url: `telegram:${at("not-an-export.json")}`,
      code: "ARCHIVE_SCHEMA",
    },
    { name: "a JSON list", url: `telegram:${at("list.json")}`, code: "ARCHIVE_SCHEMA" },
    {
      name: "JSON with a missing comma",
      url: `telegram:${at("broken.json")}`,
      code: "ARCHIVE_SCHEMA",
    },
    { name: "JSON that is cut off", url: `telegram:${at("cut.json")}`, code: "ARCHIVE_TRUNCATED" },
    {
      name: "JSON that is cut off after a brace",
      url: `telegram:${at("cut-inside.json")}`,
      code: "ARCHIVE_TRUNCATED",
    },
    { name: "text as mbox", url: `mbox:${at("plain.mbox")}`, code: "ARCHIVE_SCHEMA" },
  ];
}
