/** A run that is removed takes its deduplication results with it: its message ids come again. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deduplicateArchive } from "../../../actors/archive/dedup-run.ts";
import { dedupSettings } from "../../../actors/archive/dedup-settings.ts";
import { migrateArchive } from "../../../actors/archive/migrate.ts";
import { removeRun } from "../../../actors/archive/migration-run.ts";
import { designTarget } from "../../../actors/archive/target-design.ts";
import { createAgentContext } from "../../support/agent-context.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";

const settings = dedupSettings.parse({
  shingleWords: 4,
  permutations: 128,
  bands: 32,
  rows: 4,
  threshold: 0.75,
  minShingles: 12,
  seed: 1,
  bloom: { expectedMembers: 1_000, falsePositiveRate: 0.01 },
});

let db: TestDatabase;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "spectra-forget-"));
  db = await createTestDatabase();
  const { ddl } = designTarget({ messages: 1, meanBodyBytes: 1, months: [] });
  for (const statement of ddl) await db.sql.unsafe(statement);
});
afterEach(async () => {
  await db.drop();
  await rm(folder, { recursive: true });
});

/** Migrates an export with these texts as the file `name`, in the place of its earlier version. */
async function migrate(name: string, runId: string, texts: readonly string[]): Promise<void> {
  const messages = texts.map((text, index) => ({
    id: index + 1,
    type: "message",
    date_unixtime: String(1_704_067_200 + index),
    from: "a",
    from_id: "a",
    text,
  }));
  const path = join(folder, `${name}.json`);
  await writeFile(path, JSON.stringify({ name, type: "personal_chat", id: name, messages }));
  await migrateArchive(createAgentContext(db.sql), {
    runId,
    archive: `telegram:${path}`,
    batchSize: 100,
    loaders: 1,
    replace: true,
  });
}

const deduplicate = () =>
  deduplicateArchive(db.sql, {
    settings,
    redisUrl: undefined,
    signal: new AbortController().signal,
    onProgress: async () => undefined,
  });

/** Clusters as sorted lists of message ids. */
async function clusters(): Promise<number[][]> {
  const rows = await db.sql<{ ids: number[] }[]>`
    select array_agg(message_id::int order by message_id) as ids
    from archive.duplicates group by cluster_id order by min(message_id)`;
  return rows.map(({ ids }) => ids);
}

async function namespaces(): Promise<string[]> {
  const rows = await db.sql<{ namespace: string }[]>`
    select distinct namespace from archive.hash_cache`;
  return rows.map(({ namespace }) => namespace);
}

test("a second version of a file is deduplicated as if the first had never been there", async () => {
  await migrate("chat", "first", ["alpha", "beta", "alpha", "gamma"]);
  await deduplicate();
  expect(await clusters()).toEqual([[1, 3]]);
  const before = await namespaces();

  await migrate("chat", "second", ["beta", "delta", "epsilon", "delta"]);
  const ids = await db.sql`select id::int from archive.messages order by id`;
  expect(ids.map((row) => row["id"])).toEqual([1, 2, 3, 4]);
  const { counts } = await deduplicate();
  expect(counts.messages).toBe(4);
  expect(await clusters()).toEqual([[2, 4]]);
  const after = await namespaces();
  expect(after).toHaveLength(1);
  expect(after).not.toEqual(before);
});

test("the newest run goes alone; an older one makes all results go, so that copies find each other", async () => {
  await migrate("one", "one", ["alpha", "beta", "beta"]);
  await migrate("two", "two", ["alpha", "alpha", "beta"]);
  await migrate("three", "three", ["alpha", "gamma"]);
  await deduplicate();
  expect(await clusters()).toEqual([
    [1, 4, 5, 7],
    [2, 3, 6],
  ]);

  await removeRun(db.sql, "three");
  expect(await clusters()).toEqual([
    [1, 4, 5],
    [2, 3, 6],
  ]);
  const sizes = await db.sql`select size from archive.duplicate_clusters order by id`;
  expect(sizes.map((row) => row["size"])).toEqual([3, 3]);
  expect((await deduplicate()).counts.messages).toBe(0);

  await removeRun(db.sql, "one");
  expect(await clusters()).toEqual([]);
  expect((await deduplicate()).counts.messages).toBe(3);
  expect(await clusters()).toEqual([[4, 5]]);
});
