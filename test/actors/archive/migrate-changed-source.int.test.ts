/**
 * Migration of a source that changes between two attempts.
 *
 * @module
 */

import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { migrateArchive } from "../../../actors/archive/migrate.ts";
import { designTarget } from "../../../actors/archive/target-design.ts";
import { baseDdl } from "../../../actors/archive/target-schema.ts";
import { createAgentContext } from "../../support/agent-context.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { buildPlainArchive } from "../../support/sample-archives.ts";

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

describe("a source that changes between two attempts of a run", () => {
  const mail = (id: number) =>
    `From x\nMessage-ID: <${id}@b>\nDate: Thu, 1 Jan 2004 00:00:00 +0000\n\ntext ${id}\n\n`;
  const mails = (from: number) => Array.from({ length: 100 }, (_, index) => mail(from + index));

  /** Ends after the first batches, as a killed node does. */
  async function stopInTheMiddle(archive: string): Promise<void> {
    const stop = new AbortController();
    const ctx = createAgentContext(db.sql, { signal: stop.signal });
    const host = { ...ctx, heartbeat: () => stop.abort(new Error("stopped by the test")) };
    const options = { ...small(archive), loaders: 1 };
    await expect(migrateArchive(host, options)).rejects.toThrow("stopped by the test");
    expect((await counts())["messages"]).toBeGreaterThan(0);
  }

  async function checkRefused(archive: string): Promise<void> {
    const again = migrateArchive(createAgentContext(db.sql), small(archive));
    await expect(again).rejects.toMatchObject({ code: "ARCHIVE_CHANGED", retryable: false });
    await expect(again).rejects.toThrow("start Phase 1 anew");
    expect(await counts()).toMatchObject({ messages: 0, batches: 0, migrations: 0 });
    const anew = await migrateArchive(createAgentContext(db.sql), small(archive, "anew"));
    expect(anew.read).toBe(anew.migrated);
  }

  test("is refused when it is a file that got mails at its start", async () => {
    const path = join(folder, "changed.mbox");
    await writeFile(path, mails(100).join(""));
    await stopInTheMiddle(`mbox:${path}`);
    await writeFile(path, mails(99).join("") + mail(199));
    await checkRefused(`mbox:${path}`);
  });

  test("is refused when it is a folder that got a mail", async () => {
    const path = join(folder, "changed-folder");
    await mkdir(path);
    for (const [index, text] of mails(100).entries()) {
      await writeFile(join(path, `mail-${100 + index}`), text.replace(/^From x\n/, ""));
    }
    await stopInTheMiddle(`mbox:${path}`);
    await writeFile(join(path, "mail-001"), mail(1).replace(/^From x\n/, ""));
    await checkRefused(`mbox:${path}`);
  });

  test("is refused when it is a database that got rows in its write-ahead log", async () => {
    const archive = buildPlainArchive(
      join(folder, "changed.sqlite"),
      Array.from({ length: 100 }, () => ({})),
    );
    await stopInTheMiddle(archive);
    const writer = new Database(archive.replace(/^sqlite:/, ""));
    const before = await stat(join(folder, "changed.sqlite"));
    writer.exec("pragma journal_mode = wal; pragma wal_autocheckpoint = 0");
    const atWal = await stat(join(folder, "changed.sqlite"));
    await db.sql`update archive.migrations set source_fingerprint = replace(source_fingerprint,
      ${`changed ${before.mtimeMs}`}, ${`changed ${atWal.mtimeMs}`})`;
    writer.exec("update messages set content = 'other' where id = 90");
    // The file is as it was; only the log tells.
    expect((await stat(join(folder, "changed.sqlite"))).mtimeMs).toBe(atWal.mtimeMs);
    await checkRefused(archive);
    writer.close();
  });

  test("goes on when it was begun before fingerprints were kept", async () => {
    const path = join(folder, "old.mbox");
    await writeFile(path, mails(100).join(""));
    await stopInTheMiddle(`mbox:${path}`);
    await db.sql`alter table archive.migrations drop column source_fingerprint`;
    for (const statement of baseDdl) await db.sql.unsafe(statement);
    const result = await migrateArchive(createAgentContext(db.sql), small(`mbox:${path}`));
    expect(result).toMatchObject({ read: 100, migrated: 100 });
    expect(result.resumedFrom).toBeGreaterThan(0);
  });
});
