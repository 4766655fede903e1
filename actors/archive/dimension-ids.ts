/**
 * Gives users, conversations and media of a batch their ids in the target, creating rows where needed.
 *
 * Works outside the batch's transaction, so that parallel loaders never wait for each other's commits.
 *
 * @module
 */

import type { Sql } from "postgres";
import { indexableId, type MigrationBatch } from "./migration-batch.ts";

/** Ids that are kept at hand per table; the table itself is asked for all others. */
const maxCached = 50_000;

/** By the id in the source. */
export interface DimensionIds {
  readonly users: ReadonlyMap<string, number>;
  readonly conversations: ReadonlyMap<string, number>;
  readonly media: ReadonlyMap<string, number>;
}

export interface DimensionResolver {
  resolve(batch: MigrationBatch): Promise<DimensionIds>;
}

interface Dimension {
  readonly table: string;
  readonly columns: readonly string[];
  readonly cache: Map<string, number>;
}

type Row = readonly (string | null)[];

export function createDimensionResolver(sql: Sql): DimensionResolver {
  const users: Dimension = {
    table: "archive.users",
    columns: ["username", "first_name", "last_name", "tags"],
    cache: new Map(),
  };
  const conversations: Dimension = {
    table: "archive.conversations",
    columns: ["title", "kind"],
    cache: new Map(),
  };
  const media: Dimension = {
    table: "archive.media",
    columns: ["kind", "url", "title", "description", "thumb", "checksum"],
    cache: new Map(),
  };
  return {
    async resolve(batch) {
      const rows = {
        users: new Map<string, Row>(),
        conversations: new Map<string, Row>(),
        media: new Map<string, Row>(),
      };
      for (const { record } of batch.records) {
        const { user, conversation, media: medium } = record;
        addFirst(rows.conversations, conversation.sourceId, [
          conversation.title,
          conversation.kind,
        ]);
        if (user !== null) {
          addFirst(rows.users, user.sourceId, [
            user.username,
            user.firstName,
            user.lastName,
            user.tags,
          ]);
        }
        if (medium !== null) {
          addFirst(rows.media, medium.sourceId, [
            medium.kind,
            medium.url,
            medium.title,
            medium.description,
            medium.thumb,
            medium.checksum,
          ]);
        }
      }
      return {
        conversations: await idsOf(sql, conversations, rows.conversations),
        users: await idsOf(sql, users, rows.users),
        media: await idsOf(sql, media, rows.media),
      };
    },
  };
}

/** The first description of a user, conversation or medium wins. */
function addFirst(rows: Map<string, Row>, sourceId: string, row: Row): void {
  const id = indexableId(sourceId);
  if (!rows.has(id)) rows.set(id, row);
}

async function idsOf(
  sql: Sql,
  dimension: Dimension,
  rows: ReadonlyMap<string, Row>,
): Promise<ReadonlyMap<string, number>> {
  const ids = new Map<string, number>();
  const unknown: string[] = [];
  for (const sourceId of rows.keys()) {
    const cached = dimension.cache.get(sourceId);
    if (cached === undefined) unknown.push(sourceId);
    else ids.set(sourceId, cached);
  }
  if (unknown.length === 0) return ids;
  // In one order everywhere, so that two runs which create the same rows cannot deadlock.
  unknown.sort();
  await insert(sql, dimension, unknown, rows);
  const found = await sql.unsafe<{ id: string; source_id: string }[]>(
    `select id, source_id from ${dimension.table} where source_id = any($1::text[])`,
    [unknown],
  );
  if (dimension.cache.size + found.length > maxCached) dimension.cache.clear();
  for (const { id, source_id } of found) {
    ids.set(source_id, Number(id));
    if (dimension.cache.size < maxCached) dimension.cache.set(source_id, Number(id));
  }
  return ids;
}

async function insert(
  sql: Sql,
  { table, columns }: Dimension,
  sourceIds: string[],
  rows: ReadonlyMap<string, Row>,
): Promise<void> {
  const names = ["source_id", ...columns];
  const values = columns.map((_, index) => sourceIds.map((id) => rows.get(id)?.[index] ?? null));
  const parameters = names.map((_, index) => `$${index + 1}::text[]`).join(", ");
  await sql.unsafe(
    `insert into ${table} (${names.join(", ")})
     select * from unnest(${parameters}) on conflict (source_id) do nothing`,
    [sourceIds, ...values],
  );
}
