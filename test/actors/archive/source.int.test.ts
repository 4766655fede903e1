/**
 * Opening and reading archives of all three formats: real files, whole and damaged.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSource } from "../../../actors/archive/source.ts";
import type { SourceEntry } from "../../../actors/archive/source-contract.ts";
import { takeCorpus } from "../../support/migrated-archive.ts";
import {
  buildDamagedArchives,
  buildMailFolder,
  buildMboxSample,
  buildPlainArchive,
  buildSqliteSample,
  buildTelegramSample,
  withoutSeparator,
} from "../../support/sample-archives.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spectra-source-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function readAll(url: string, after?: number): Promise<SourceEntry[]> {
  const source = await openSource(url);
  try {
    const entries: SourceEntry[] = [];
    for await (const entry of source.read(after === undefined ? {} : { after }))
      entries.push(entry);
    return entries;
  } finally {
    source.close();
  }
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Everything about each entry, with a hash in place of its body. */
async function fingerprints(url: string, after?: number): Promise<string[]> {
  return (await readAll(url, after)).map((entry) =>
    JSON.stringify(entry.type === "record" ? { ...entry, content: sha256(entry.content) } : entry),
  );
}

describe("the same mails in every format", () => {
  const limit = 203;

  test("openSource() reads the same number of messages, senders and dates from each", async () => {
    const urls = [
      await buildSqliteSample(folder, { limit }),
      await buildTelegramSample(join(folder, "telegram"), { limit }),
      await buildMboxSample(join(folder, "mbox"), { limit }),
      await buildMailFolder(join(folder, "mails"), { limit }),
    ];
    const figures = await Promise.all(
      urls.map(async (url) => {
        const entries = await readAll(url);
        const records = entries.filter((entry) => entry.type === "record");
        const times = records.map(({ sentAt }) => sentAt.getTime()).sort((a, b) => a - b);
        return {
          read: entries.length,
          records: records.length,
          positions: entries.every(({ position }, index) => position === index + 1),
          senders: new Set(records.map(({ user }) => user?.sourceId.replace(/^user-/, ""))).size,
          times: sha256(Buffer.from(times.join())),
        };
      }),
    );
    expect(figures[0]).toMatchObject({ read: limit, records: limit, positions: true });
    // A tgarchive database has ids for users, so that only their number can be compared.
    for (const other of figures.slice(1)) expect(other).toEqual(figures[0]);
  });

  test("mail sources keep the exact bytes of every message", async () => {
    const expected: string[] = [];
    for await (const { bytes } of takeCorpus(limit)) {
      expected.push(sha256(withoutSeparator(bytes).content));
    }
    const files = await readAll(`mbox:${join(folder, "mails")}`);
    expect(files.map((entry) => (entry.type === "record" ? sha256(entry.content) : ""))).toEqual(
      expected,
    );
    const mbox = await readAll(`mbox:${join(folder, "mbox", "sample.mbox")}`);
    const same = mbox.filter(
      (entry, index) => entry.type === "record" && sha256(entry.content) === expected[index],
    );
    // An mbox cannot tell a message without a newline at its end.
    expect(same.length).toBeGreaterThan(limit * 0.95);
  });

  test.each(["sample.sqlite", "telegram", "mbox/sample.mbox", "mails"])(
    "read() of %s goes on behind any position",
    async (name) => {
      const format = name === "telegram" ? "telegram" : name.endsWith("sqlite") ? "sqlite" : "mbox";
      const url = `${format}:${join(folder, name)}`;
      const all = await fingerprints(url);
      for (const after of [1, 100, limit - 1, limit]) {
        expect(await fingerprints(url, after)).toEqual(all.slice(after));
      }
      expect(await readAll(url, limit + 5)).toEqual([]);
    },
  );
});

test("openSource() or read() says what is wrong with each damaged archive", async () => {
  const damaged = await buildDamagedArchives(join(folder, "damaged"));
  for (const { name, url, code } of damaged) {
    const outcome = await readAll(url).then(
      (entries) => `read ${entries.length}`,
      (error: unknown) => error as { code?: string; message: string },
    );
    expect(outcome, name).toMatchObject({ name: "AgentError", code, retryable: false });
    expect((outcome as Error).message, name).toMatch(/^Cannot /);
  }
});

test("openSource() names every missing table and column", async () => {
  await expect(openSource(`sqlite:${join(folder, "damaged", "columns.sqlite")}`)).rejects.toThrow(
    "no column messages.type, no column messages.date, no column messages.reply_to, no column messages.user_id",
  );
});

test("openSource() remarks on unknown tables and columns, and reads the rest", async () => {
  const path = join(folder, "unknown.sqlite");
  buildPlainArchive(path, [{}]);
  const db = new Database(path);
  db.exec("create table notes (id integer); alter table messages add column mood text");
  db.close();
  const source = await openSource(`sqlite:${path}`);
  expect(source.remarks).toEqual([
    'unknown column "messages.mood" is not migrated',
    'unknown table "notes" is not migrated',
  ]);
  source.close();
});

test("openSource() finds damage inside a database while it is read", async () => {
  const path = join(folder, "holes.sqlite");
  buildPlainArchive(
    path,
    Array.from({ length: 400 }, () => ({ content: "x".repeat(2_000) })),
  );
  const bytes = await readFile(path);
  bytes.fill(0xff, 100 * 4_096, 110 * 4_096);
  await writeFile(path, bytes);
  await expect(readAll(`sqlite:${path}`)).rejects.toMatchObject({ code: "ARCHIVE_TRUNCATED" });
});

test("openSource() never writes: neither the database nor files beside it", async () => {
  const own = join(folder, "untouched");
  await mkdir(own);
  buildPlainArchive(join(own, "a ?#%.sqlite"), [{}, {}]);
  const before = sha256(await readFile(join(own, "a ?#%.sqlite")));
  expect(await readAll(`sqlite:${join(own, "a ?#%.sqlite")}`)).toHaveLength(2);
  expect(sha256(await readFile(join(own, "a ?#%.sqlite")))).toBe(before);
  expect(await readdir(own)).toEqual(["a ?#%.sqlite"]);
});

describe("rows of a tgarchive database", () => {
  async function readRows(
    name: string,
    rows: Parameters<typeof buildPlainArchive>[1],
  ): Promise<SourceEntry[]> {
    return readAll(buildPlainArchive(join(folder, `${name}.sqlite`), rows));
  }

  test("each bad row is rejected with its reason, and all others are read", async () => {
    const entries = await readRows("bad", [
      {},
      { date: null },
      { date: "not a date" },
      { date: "2023-02-30" },
      { contentHex: "ff61" },
      { id: null },
      { userId: 99 },
      { mediaId: 5 },
      { editDate: "never" },
      {},
    ]);
    expect(
      entries.map((entry) => (entry.type === "reject" ? entry.reason : entry.sourceId)),
    ).toEqual([
      "1",
      "NO_DATE",
      "BAD_DATE",
      "BAD_DATE",
      "BAD_ENCODING",
      "MISSING_ID",
      "DANGLING_REFERENCE",
      "DANGLING_REFERENCE",
      "BAD_DATE",
      "10",
    ]);
    expect(entries[6]).toMatchObject({
      sourceId: "7",
      detail: '"99" is not the id of a row in users',
    });
  });

  test("dates in 1970 and 2038, numbers of seconds, and no user are all valid", async () => {
    const entries = await readRows("dates", [
      { date: "1970-01-01 00:00:00" },
      { date: "2038-01-19T03:14:08Z" },
      { date: 0 },
      { date: 2_147_483_648 },
      { userId: null, content: null, type: null },
    ]);
    expect(entries.map((entry) => entry.type === "record" && entry.sentAt.toISOString())).toEqual([
      "1970-01-01T00:00:00.000Z",
      "2038-01-19T03:14:08.000Z",
      "1970-01-01T00:00:00.000Z",
      "2038-01-19T03:14:08.000Z",
      "2024-05-06T07:08:09.000Z",
    ]);
    expect(entries[4]).toMatchObject({ user: null, content: new Uint8Array(0), kind: null });
  });

  test("a body of 10 MB and text beyond ASCII come back byte for byte", async () => {
    const content = "ä€😀x".repeat(1_000_000);
    const entries = await readRows("large", [{}, { content }, {}]);
    expect(entries).toHaveLength(3);
    const [, large] = entries;
    expect(large?.type === "record" && sha256(large.content)).toBe(sha256(Buffer.from(content)));
  });

  test("a database in UTF-16 gives UTF-8", async () => {
    const path = join(folder, "wide.sqlite");
    const db = new Database(path);
    db.exec("pragma encoding = 'UTF-16le'");
    db.exec(`create table users (id integer, username text); insert into users values (1, 'änn');
      create table messages (id integer, type text, date text, content text, reply_to integer, user_id integer);
      insert into messages values (1, 'message', '2024-01-01', 'grüß €', null, 1)`);
    db.close();
    expect(await readAll(`sqlite:${path}`)).toMatchObject([
      { user: { username: "änn" }, content: new TextEncoder().encode("grüß €") },
    ]);
  });

  test("rows in the write-ahead log are read", async () => {
    const path = join(folder, "wal.sqlite");
    buildPlainArchive(path, [{}]);
    const db = new Database(path);
    db.exec("pragma journal_mode = wal; pragma wal_autocheckpoint = 0");
    db.exec(
      "insert into messages (id, type, date, content, user_id) values (2, 'm', '2024-01-01', 'b', 1)",
    );
    await cp(path, join(folder, "wal2.sqlite"));
    await cp(`${path}-wal`, join(folder, "wal2.sqlite-wal"));
    db.close();
    expect(await readAll(`sqlite:${join(folder, "wal2.sqlite")}`)).toHaveLength(2);
  });
});

describe("messages of a Telegram export", () => {
  async function readMessages(messages: string): Promise<SourceEntry[]> {
    const path = join(folder, `export-${sha256(Buffer.from(messages)).slice(0, 8)}.json`);
    await writeFile(
      path,
      Buffer.from(
        `{"name": "Chat", "type": "personal_chat", "id": 77, "messages": [${messages}]}`,
        "latin1",
      ),
    );
    return readAll(`telegram:${path}`);
  }

  test("a message has its chat, sender, answer, medium, edit and joined text", async () => {
    const [entry] = await readMessages(
      JSON.stringify({
        id: 5,
        type: "message",
        date: "2024-01-01T10:00:00",
        date_unixtime: "1704100000",
        edited_unixtime: "1704100001",
        from: "Ann",
        from_id: "user1",
        reply_to_message_id: 4,
        photo: "photos/1.jpg",
        text: ["a ", { type: "link", text: "b" }, ""],
      }),
    );
    expect(entry).toMatchObject({
      sourceId: "77/5",
      conversation: { sourceId: "77", title: "Chat", kind: "personal_chat" },
      user: { sourceId: "user1", firstName: "Ann" },
      media: { kind: "photo", url: "photos/1.jpg" },
      replyTo: "77/4",
      sentAt: new Date(1_704_100_000_000),
      editedAt: new Date(1_704_100_001_000),
      content: new TextEncoder().encode("a b"),
    });
  });

  test("each bad message is rejected with its reason", async () => {
    const date = '"date_unixtime": "0"';
    const entries = await readMessages(
      [
        `{"id": 1, ${date}, "text": "ok"}`,
        '{"id": 2, "text": "no date"}',
        '{"id": 3, "date": "soon", "text": ""}',
        `{"id": 4, ${date}, "text": "\xff"}`,
        `{${date}, "text": "no id"}`,
        `{"id": 6, ${date}, "text": {"a": 1}}`,
        `{"id": 7, ${date}, "text": "\\ud800"}`,
        "12",
        `{"id": 9, ${date}, "text": bad}`,
      ].join(","),
    );
    expect(
      entries.map((entry) => (entry.type === "reject" ? entry.reason : entry.sourceId)),
    ).toEqual([
      "77/1",
      "NO_DATE",
      "BAD_DATE",
      "BAD_ENCODING",
      "MISSING_ID",
      "BAD_RECORD",
      "BAD_ENCODING",
      "BAD_RECORD",
      "BAD_RECORD",
    ]);
  });
});

describe("mail", () => {
  test("a maildir is read from cur and new, and not from tmp", async () => {
    const root = join(folder, "maildir");
    for (const name of ["cur", "new", "tmp"]) {
      await mkdir(join(root, name), { recursive: true });
      await writeFile(
        join(root, name, `1.${name}`),
        `From: =?utf-8?q?Z=C3=B6e?= <Zoe@Example.org>\nDate: Thu, 1 Jan 1970 00:00:01 +0000\nMessage-ID: <${name}@x>\nIn-Reply-To: <a@x>\n\nhi \xff`,
        "latin1",
      );
    }
    expect(await readAll(`mbox:${root}`)).toMatchObject([
      {
        sourceId: "cur@x",
        conversation: { sourceId: "maildir" },
        user: { sourceId: "zoe@example.org", firstName: "Zöe" },
        replyTo: "a@x",
        sentAt: new Date(1_000),
      },
      { sourceId: "new@x" },
    ]);
  });

  test("the newest Received line dates a mail whose Date cannot be read; without any it is rejected", async () => {
    const root = join(folder, "dates");
    await mkdir(root);
    await writeFile(
      join(root, "a"),
      "Date: today\nReceived: by x;\n Mon, 5 Feb 2001 01:02:03 +0000\n\nx",
    );
    await writeFile(join(root, "b"), "Subject: none\n\nx");
    await writeFile(join(root, "c"), "Date: today\n\nx");
    await writeFile(join(root, "d"), "no header at all");
    expect(await readAll(`mbox:${root}`)).toMatchObject([
      { type: "record", sentAt: new Date("2001-02-05T01:02:03Z") },
      { type: "reject", reason: "NO_DATE" },
      { type: "reject", reason: "BAD_DATE" },
      { type: "reject", reason: "BAD_RECORD" },
    ]);
  });
});
