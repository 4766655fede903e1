/**
 * Migration into a real PostgreSQL: counts, resume, duplicates, lost connections, memory.
 *
 * @module
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ingestBatch } from "../../../actors/archive/ingest.ts";
import { migrateArchive } from "../../../actors/archive/migrate.ts";
import { removeRun } from "../../../actors/archive/migration-run.ts";
import { designTarget } from "../../../actors/archive/target-design.ts";
import { verifyBatches } from "../../../actors/archive/verify-migration.ts";
import { createAgentContext } from "../../support/agent-context.ts";
import { migrateUrl, smallSampleUrl } from "../../support/migrated-archive.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import {
  buildMboxSample,
  buildPlainArchive,
  buildTelegramSample,
  type PlainRow,
} from "../../support/sample-archives.ts";

let db: TestDatabase;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spectra-migrate-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  db = await createTestDatabase();
  const { ddl } = designTarget({
    messages: 1,
    meanBodyBytes: 1,
    months: [{ month: "2024-05", messages: 1, bytes: 1 }],
  });
  for (const statement of ddl) await db.sql.unsafe(statement);
});
afterEach(async () => {
  await db.drop();
});

const small = (archive: string, runId = "run") => ({
  runId,
  archive,
  batchSize: 25,
  loaders: 4,
  replace: true,
});

async function counts(): Promise<Record<string, number>> {
  const [row] = await db.sql<Record<string, string>[]>`
    select (select count(*) from archive.messages) as messages,
      (select count(*) from archive.bodies) as bodies,
      (select count(*) from archive.rejects) as rejects,
      (select count(*) from archive.batches) as batches,
      (select count(*) from archive.users) as users,
      (select count(*) from archive.migrations) as migrations`;
  return Object.fromEntries(Object.entries(row!).map(([key, value]) => [key, Number(value)]));
}

/** All that a migration writes, in an order of its own, without times of loading. */
async function content(): Promise<string> {
  const [row] = await db.sql<{ all: string }[]>`
    select md5(
      (select string_agg(concat_ws('|', m.id, m.source_id, m.sent_at, m.kind, u.source_id, m.reply_to,
        m.batch, md5(b.raw)), ',' order by m.id)
        from archive.messages m join archive.bodies b on b.message_id = m.id
        left join archive.users u on u.id = m.user_id)
      || coalesce((select string_agg(concat_ws('|', position, source_id, reason, detail), ',' order by position)
        from archive.rejects), '')
      || (select string_agg(concat_ws('|', batch, first_position, last_position, read, migrated, rejected,
        checksum), ',' order by batch) from archive.batches)) as all`;
  return row!.all;
}

test("the three formats give the same counts from the same mails", async () => {
  const limit = 120;
  const urls = [
    await smallSampleUrl(limit),
    await buildTelegramSample(join(folder, "telegram"), { limit }),
    await buildMboxSample(join(folder, "mbox"), { limit }),
  ];
  const results = [];
  for (const [index, url] of urls.entries()) {
    results.push(await migrateArchive(createAgentContext(db.sql), small(url, `run-${index}`)));
  }
  for (const result of results) {
    expect(result).toMatchObject({ read: limit, migrated: limit, rejected: 0, batches: 5 });
    expect(result.checksumsVerified).toBe(result.batches);
  }
  // Three different sources stand side by side, each with ids of its own.
  expect(await counts()).toMatchObject({ messages: 3 * limit, bodies: 3 * limit, migrations: 3 });
});

describe("a source with bad rows", () => {
  const rows: PlainRow[] = Array.from({ length: 1_000 }, () => ({}));
  rows[17] = { contentHex: "c328" };
  rows[100] = { date: null };
  rows[400] = { id: 7, content: "the second 7" };
  rows[401] = { id: 7, content: "the third 7" };
  rows[402] = { id: 999, content: "before 999" };
  rows[700] = { userId: 5 };
  rows[800] = { date: "1970-01-01" };
  rows[801] = { date: "2038-02-01" };

  test("every record is migrated or rejected, whatever the loaders; the first of an id wins", async () => {
    const archive = buildPlainArchive(join(folder, "bad.sqlite"), rows);
    const contents = new Set<string>();
    for (const loaders of [1, 4]) {
      const result = await migrateArchive(createAgentContext(db.sql), {
        ...small(archive, `run-${loaders}`),
        loaders,
      });
      expect(result).toMatchObject({
        read: 1_000,
        migrated: 994,
        rejected: 6,
        rejects: { BAD_ENCODING: 1, DANGLING_REFERENCE: 1, DUPLICATE_ID: 3, NO_DATE: 1 },
      });
      contents.add(await content());
    }
    expect(contents.size).toBe(1);
    const rejects = await db.sql`
      select position::int, source_id, reason, detail from archive.rejects
      where reason = 'DUPLICATE_ID' order by position`;
    expect([...rejects]).toEqual([
      {
        position: 401,
        source_id: "7",
        reason: "DUPLICATE_ID",
        detail: "the record at position 7 has the same id",
      },
      {
        position: 402,
        source_id: "7",
        reason: "DUPLICATE_ID",
        detail: "the record at position 7 has the same id",
      },
      {
        position: 999,
        source_id: "999",
        reason: "DUPLICATE_ID",
        detail: "the record at position 403 has the same id",
      },
    ]);
    expect(await counts()).toMatchObject({ messages: 994, bodies: 994, rejects: 6, migrations: 1 });
  });

  test("a run that is stopped in the middle, again and again, ends as an undisturbed one", async () => {
    const archive = buildPlainArchive(join(folder, "stop.sqlite"), rows);
    await migrateArchive(createAgentContext(db.sql), small(archive));
    const undisturbed = await content();
    await removeRun(db.sql, "run");
    expect(await counts()).toMatchObject({
      messages: 0,
      bodies: 0,
      batches: 0,
      migrations: 0,
      users: 0,
    });
    let attempts = 0;
    let read = 0;
    for (; ; attempts += 1) {
      const stop = new AbortController();
      const ctx = createAgentContext(db.sql, { signal: stop.signal });
      let beats = 0;
      const host = {
        ...ctx,
        heartbeat: () => {
          beats += 1;
          if (attempts < 6 && beats >= 2) stop.abort(new Error("stopped by the test"));
        },
      };
      const outcome = await migrateArchive(host, small(archive)).catch((error: Error) => error);
      if (!(outcome instanceof Error)) {
        read = outcome.read;
        expect(outcome.resumedFrom).toBeGreaterThan(0);
        break;
      }
      expect(outcome.message).toBe("stopped by the test");
      expect((await counts())["messages"]).toBeGreaterThan(0);
    }
    expect(attempts).toBe(6);
    expect(read).toBe(1_000);
    expect(await content()).toBe(undisturbed);
  });

  test("a connection that is lost in mid-run is a retryable error, and the retry ends as undisturbed", async () => {
    const archive = buildPlainArchive(join(folder, "lost.sqlite"), rows);
    await migrateArchive(createAgentContext(db.sql), small(archive));
    const undisturbed = await content();
    await removeRun(db.sql, "run");
    const own = postgres(db.url, {
      max: 4,
      onnotice: () => undefined,
      connection: { application_name: "to-be-killed" },
    });
    let beats = 0;
    const ctx = createAgentContext(own);
    const host = {
      ...ctx,
      heartbeat: () => {
        beats += 1;
        if (beats !== 5) return;
        void db.sql`select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'to-be-killed' and datname = current_database()`.execute();
      },
    };
    await expect(migrateArchive(host, small(archive))).rejects.toMatchObject({
      code: "DATABASE_UNAVAILABLE",
      retryable: true,
    });
    await own.end({ timeout: 1 });
    const result = await migrateArchive(createAgentContext(db.sql), small(archive));
    expect(result).toMatchObject({ read: 1_000, migrated: 994, rejected: 6 });
    expect(await content()).toBe(undisturbed);
  });

  test("two attempts of one run at the same time load nothing twice", async () => {
    const archive = buildPlainArchive(join(folder, "twice.sqlite"), rows);
    const results = await Promise.allSettled([
      migrateArchive(createAgentContext(db.sql), { ...small(archive), loaders: 2 }),
      migrateArchive(createAgentContext(db.sql), { ...small(archive), loaders: 2 }),
    ]);
    const lost = results.filter((result) => result.status === "rejected");
    expect(lost.length).toBeLessThan(2);
    for (const { reason } of lost) expect(reason).toMatchObject({ name: "AgentError" });
    const again = await migrateArchive(createAgentContext(db.sql), small(archive));
    expect(again).toMatchObject({ read: 1_000, migrated: 994, rejected: 6, resumedFrom: 1_000 });
    expect(await counts()).toMatchObject({ messages: 994, bodies: 994, rejects: 6 });
  });
});

test("a full disk is a retryable error, and the retry goes on where the disk was full", async () => {
  const archive = await smallSampleUrl(120);
  await db.sql.unsafe(`
    create function disk_full() returns trigger language plpgsql as $$
    begin
      if new.message_id = 70 then raise exception 'could not extend file' using errcode = '53100'; end if;
      return new;
    end $$;
    create trigger disk_full before insert on archive.bodies for each row execute function disk_full()`);
  const attempt = migrateArchive(createAgentContext(db.sql), { ...small(archive), loaders: 1 });
  await expect(attempt).rejects.toMatchObject({ code: "DISK_FULL", retryable: true });
  // Batches 0 and 1 are there whole, nothing of batch 2.
  expect(await counts()).toMatchObject({ messages: 50, bodies: 50, batches: 2 });
  await db.sql`drop trigger disk_full on archive.bodies`;
  const result = await migrateArchive(createAgentContext(db.sql), small(archive));
  expect(result).toMatchObject({ read: 120, migrated: 120, resumedFrom: 50 });
});

test("a source that turns out to be damaged leaves nothing behind", async () => {
  const path = join(folder, "cut.json");
  const messages = Array.from({ length: 200 }, (_, id) => ({ id, date_unixtime: "5", text: "a" }));
  await writeFile(
    path,
    `{"id": 1, "messages": ${JSON.stringify(messages).slice(0, -1)} nonsense }`,
  );
  await expect(
    migrateArchive(createAgentContext(db.sql), small(`telegram:${path}`)),
  ).rejects.toMatchObject({ code: "ARCHIVE_SCHEMA" });
  expect(await counts()).toMatchObject({ messages: 0, bodies: 0, batches: 0, migrations: 0 });
});

test("the reason of a failure is told also when its clean-up fails, and that is logged", async () => {
  const path = join(folder, "cut-too.json");
  await writeFile(path, `{"id": 1, "messages": [{"id": 1, "date_unixtime": "5"}, nonsense }`);
  await db.sql.unsafe(`
    create function refuse() returns trigger language plpgsql as $$
    begin raise exception 'not to be removed'; end $$;
    create trigger refuse before delete on archive.migrations for each row execute function refuse()`);
  const ctx = createAgentContext(db.sql);
  const logged: string[] = [];
  const log = {
    ...ctx.log,
    error: (message: string, fields?: Record<string, unknown>) => {
      logged.push(`${message}: ${String(fields?.["error"])}`);
    },
  };
  await expect(migrateArchive({ ...ctx, log }, small(`telegram:${path}`))).rejects.toMatchObject({
    code: "ARCHIVE_SCHEMA",
  });
  expect(logged).toHaveLength(1);
  expect(logged[0]).toContain("not to be removed");
});

test("mails with the same id are kept when their bytes differ, and rejected when not", async () => {
  const mail = (text: string) =>
    `From x\nMessage-ID: <a@b>\nDate: Thu, 1 Jan 2004 00:00:00 +0000\n\n${text}\n\n`;
  const path = join(folder, "same.mbox");
  await writeFile(path, mail("one") + mail("two") + mail("one"));
  const result = await migrateArchive(createAgentContext(db.sql), small(`mbox:${path}`));
  expect(result).toMatchObject({ read: 3, migrated: 2, rejects: { DUPLICATE_ID: 1 } });
  const rows = await db.sql`select source_id from archive.messages order by id`;
  expect(rows.map((row) => row["source_id"])).toEqual(["a@b", "a@b#2"]);
});

test("verifyBatches() finds a body that was changed, and one that is missing", async () => {
  await migrateUrl(db.sql, await smallSampleUrl(60), { idempotencyKey: "run" });
  const verify = () =>
    verifyBatches(
      db.sql,
      { runId: "run", idBase: 0 },
      { signal: new AbortController().signal, parallel: 2, onVerified: () => undefined },
    );
  expect(await verify()).toBe(1);
  await db.sql`update archive.bodies set raw = set_byte(raw, 5, 0) where message_id = 30`;
  await expect(verify()).rejects.toMatchObject({ code: "MIGRATION_MISMATCH" });
  await db.sql`delete from archive.bodies where message_id = 30`;
  await expect(verify()).rejects.toThrow("batch 0 has 59 messages with a body, 60 were loaded");
});

test("ingestBatch() adds behind the newest message, once, and a month without partition too", async () => {
  await migrateUrl(db.sql, await smallSampleUrl(60), { idempotencyKey: "run" });
  const extra = buildPlainArchive(join(folder, "extra.sqlite"), [
    {},
    { date: "2051-01-01" },
    { date: null },
  ]);
  for (const resumedFrom of [0, 3]) {
    const result = await ingestBatch(createAgentContext(db.sql), {
      runId: "extra",
      archive: extra,
    });
    expect(result).toMatchObject({ read: 3, migrated: 2, rejected: 1, resumedFrom });
  }
  const ids = await db.sql`select id::int from archive.messages where run_id = 'extra' order by id`;
  expect(ids.map((row) => row["id"])).toEqual([61, 62]);
  expect(await counts()).toMatchObject({ messages: 62, bodies: 62, rejects: 1 });
  await removeRun(db.sql, "extra");
  expect(await counts()).toMatchObject({ messages: 60, bodies: 60, rejects: 0 });
});

test("a new run of the same source takes the place of the old one", async () => {
  const archive = await smallSampleUrl(60);
  await migrateUrl(db.sql, archive, { idempotencyKey: "first" });
  await migrateUrl(db.sql, archive, { idempotencyKey: "second" });
  expect(await counts()).toMatchObject({ messages: 60, bodies: 60, migrations: 1 });
});
