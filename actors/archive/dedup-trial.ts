/**
 * Runs the deduplication engine on planted bodies in a scratch schema and compares with the truth.
 * Nothing of the archive is written; the scratch schema and its cache entries are gone afterwards.
 *
 * @module
 */

import type { Sql } from "postgres";
import { createBloomFilter } from "./bloom-filter.ts";
import type { BodyRef } from "./body-batches.ts";
import { rebuildClusters } from "./dedup-clusters.ts";
import { type DedupCounts, findDuplicates } from "./dedup-engine.ts";
import { prepareDedup } from "./dedup-schema.ts";
import type { DedupSettings } from "./dedup-settings.ts";
import { hashNormalised, normaliseBody } from "./dedup-text.ts";
import { openHashCache } from "./open-hash-cache.ts";
import type { Planted, PlantedKind } from "./planted-duplicates.ts";

const rowsPerInsert = 500;

export interface TrialOptions {
  /** Scratch schema; dropped if it is there already. */
  readonly schema: string;
  readonly settings: DedupSettings;
  readonly redisUrl: string | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number) => void;
}

export interface KindScore {
  readonly kind: PlantedKind;
  readonly planted: number;
  readonly correct: number;
}

/** Pairs count once. Accuracy is over messages: judged right when it is with its family and no other. */
export interface TrialScore {
  readonly messages: number;
  readonly correct: number;
  readonly accuracy: number;
  readonly truePairs: number;
  readonly foundPairs: number;
  readonly correctPairs: number;
  readonly precision: number;
  readonly recall: number;
  readonly kinds: readonly KindScore[];
  /** Ids judged wrong, at most 20. */
  readonly wrong: readonly string[];
}

function groupBy(planted: readonly Planted[], keyOf: (item: Planted) => string) {
  const groups = new Map<string, string[]>();
  for (const item of planted) {
    const key = keyOf(item);
    groups.set(key, [...(groups.get(key) ?? []), item.id]);
  }
  return groups;
}

const pairsIn = (groups: ReadonlyMap<string, readonly string[]>): number =>
  [...groups.values()].reduce((sum, { length }) => sum + (length * (length - 1)) / 2, 0);

/** `clusterOf` has the cluster of every clustered id; others stand alone. Pure. */
export function scoreClusters(
  planted: readonly Planted[],
  clusterOf: ReadonlyMap<string, string>,
): TrialScore {
  const families = groupBy(planted, ({ family }) => `family ${family}`);
  const found = groupBy(planted, ({ id }) => clusterOf.get(id) ?? `alone ${id}`);
  const both = groupBy(
    planted,
    ({ id, family }) => `${clusterOf.get(id) ?? `alone ${id}`}/${family}`,
  );
  const isRight = ({ id, family }: Planted): boolean => {
    const expected = families.get(`family ${family}`) ?? [];
    const actual = found.get(clusterOf.get(id) ?? `alone ${id}`) ?? [];
    return expected.length === actual.length && expected.every((other, at) => other === actual[at]);
  };
  const right = new Set(planted.filter(isRight).map(({ id }) => id));
  const [truePairs, foundPairs, correctPairs] = [pairsIn(families), pairsIn(found), pairsIn(both)];
  const kinds: PlantedKind[] = ["original", "exact", "near", "lookalike", "unique"];
  return {
    messages: planted.length,
    correct: right.size,
    accuracy: planted.length === 0 ? 0 : right.size / planted.length,
    truePairs,
    foundPairs,
    correctPairs,
    precision: foundPairs === 0 ? 1 : correctPairs / foundPairs,
    recall: truePairs === 0 ? 1 : correctPairs / truePairs,
    kinds: kinds.map((kind) => {
      const ofKind = planted.filter((item) => item.kind === kind);
      return {
        kind,
        planted: ofKind.length,
        correct: ofKind.filter(({ id }) => right.has(id)).length,
      };
    }),
    wrong: planted
      .filter(({ id }) => !right.has(id))
      .map(({ id }) => id)
      .slice(0, 20),
  };
}

/** Removes the scratch schema and what the cache holds for it. Idempotent. */
export async function removeScratch(
  sql: Sql,
  schema: string,
  redisUrl: string | undefined,
): Promise<void> {
  const [row] = await sql<{ there: boolean }[]>`
    select to_regclass(${`${schema}.dedup_state`}) is not null as there`;
  if (row?.there === true && redisUrl !== undefined) {
    const rows = await sql<{ namespace: string }[]>`
      select cache_namespace as namespace from ${sql(schema)}.dedup_state`;
    for (const { namespace } of rows) {
      const cache = await openHashCache(sql, { redisUrl, schema, namespace });
      await cache.clear();
      await cache.close();
    }
  }
  await sql`drop schema if exists ${sql(schema)} cascade`;
}

async function plant(sql: Sql, schema: string, planted: readonly Planted[]): Promise<void> {
  await sql`create schema ${sql(schema)}`;
  await sql`create table ${sql(schema)}.bodies (message_id bigint primary key, raw bytea not null)`;
  for (let at = 0; at < planted.length; at += rowsPerInsert) {
    const rows = planted
      .slice(at, at + rowsPerInsert)
      .map(({ id, body }) => ({ message_id: id, raw: body }));
    await sql`insert into ${sql(schema)}.bodies ${sql(rows)}`;
  }
}

async function readPlanted(sql: Sql, schema: string, ids: readonly string[]) {
  const rows = await sql<{ id: string; raw: Buffer }[]>`
    select message_id::text as id, raw from ${sql(schema)}.bodies
    where message_id = any(${sql.array([...ids])}::bigint[])`;
  return new Map<string, Uint8Array>(rows.map(({ id, raw }) => [id, raw]));
}

async function runEngine(sql: Sql, planted: readonly Planted[], options: TrialOptions) {
  const { schema, settings, redisUrl, signal } = options;
  const { namespace } = await prepareDedup(sql, schema, settings);
  const cache = await openHashCache(sql, { redisUrl, schema, namespace });
  const readBodies = (ids: readonly string[]): Promise<Map<string, Uint8Array>> =>
    readPlanted(sql, schema, ids);
  try {
    let done = 0;
    const counts = await findDuplicates(sql, {
      schema,
      settings,
      cache,
      readBodies,
      signal,
      nextPage: async (after): Promise<readonly BodyRef[]> =>
        await sql<BodyRef[]>`
          select message_id::text as id, octet_length(raw) as "sizeBytes"
          from ${sql(schema)}.bodies b where message_id > ${after} and not exists (
            select from ${sql(schema)}.signatures s where s.message_id = b.message_id)
          order by message_id limit 500`,
      onBatch: async ({ messages }) => {
        done += messages;
        options.onProgress(done);
      },
    });
    await rebuildClusters(sql, { schema, settings, readBodies, signal });
    return { counts, bloom: probeBloom(settings, planted) };
  } finally {
    await cache.close();
  }
}

/** How often the filter, holding every second body, takes one of the others for known. */
function probeBloom(settings: DedupSettings, planted: readonly Planted[]) {
  const hashes = [...new Set(planted.map(({ body }) => hashNormalised(normaliseBody(body))))];
  const filter = createBloomFilter(
    settings.bloom.expectedMembers,
    settings.bloom.falsePositiveRate,
  );
  const members = hashes.filter((_, at) => at % 2 === 0);
  const others = hashes.filter((_, at) => at % 2 === 1);
  for (const hash of members) filter.add(hash);
  return {
    members: members.length,
    falseNegatives: members.filter((hash) => !filter.has(hash)).length,
    probes: others.length,
    falsePositives: others.filter((hash) => filter.has(hash)).length,
  };
}

export async function runDedupTrial(
  sql: Sql,
  planted: readonly Planted[],
  options: TrialOptions,
): Promise<{
  score: TrialScore;
  counts: DedupCounts;
  bloom: ReturnType<typeof probeBloom>;
}> {
  const { schema, redisUrl } = options;
  // What a killed attempt left behind.
  await removeScratch(sql, schema, redisUrl);
  try {
    await plant(sql, schema, planted);
    const { counts, bloom } = await runEngine(sql, planted, options);
    const rows = await sql<{ id: string; cluster: string }[]>`
      select message_id::text as id, cluster_id::text as cluster from ${sql(schema)}.duplicates`;
    const clusterOf = new Map(rows.map(({ id, cluster }) => [id, `cluster ${cluster}`]));
    return { score: scoreClusters(planted, clusterOf), counts, bloom };
  } finally {
    await removeScratch(sql, schema, redisUrl);
  }
}
