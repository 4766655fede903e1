/**
 * Draws bodies of the archive, evenly spread over all messages, the same ones at every call.
 *
 * @module
 */

import type { Sql } from "postgres";
import { type BodyStore, openBodyStore } from "./body-store.ts";

export interface SampleLimits {
  readonly bodies: number;
  readonly bytes: number;
  /** Larger bodies are cut to this: the beginning of a body says most about its kind. */
  readonly bytesPerBody: number;
}

export interface BodySamples {
  /** For measuring; shares no message with `training` unless the archive is tiny. */
  readonly trial: readonly Uint8Array[];
  readonly training: readonly Uint8Array[];
  readonly messages: number;
  readonly totalBytes: number;
}

/** Below this many bodies there is too little to set some aside for measuring. */
const smallArchive = 40;

interface Candidate {
  readonly id: string;
  readonly n: number;
  readonly bytes: number;
}

/** One in `stride` bodies by rank, over raw and compressed ones. */
async function candidates(sql: Sql, stride: number): Promise<readonly Candidate[]> {
  return await sql<Candidate[]>`
    select id::text as id, n::int as n, bytes from (
      select id, bytes, row_number() over (order by id) as n from (
        select message_id as id, octet_length(raw) as bytes from archive.bodies
        union all
        select message_id, raw_bytes from archive.compressed_bodies c
        where not exists (select from archive.bodies b where b.message_id = c.message_id)
      ) as all_bodies
    ) as ranked where n % ${stride} = 0 order by n`;
}

/** How many bodies there are and how many raw bytes they have. */
export async function bodyTotals(sql: Sql): Promise<{ messages: number; totalBytes: number }> {
  const rows = await sql<{ messages: number; bytes: number }[]>`
    select count(*)::float8 as messages, coalesce(sum(bytes), 0)::float8 as bytes from (
      select octet_length(raw) as bytes from archive.bodies
      union all
      select raw_bytes from archive.compressed_bodies c
      where not exists (select from archive.bodies b where b.message_id = c.message_id)
    ) as all_bodies`;
  return { messages: rows[0]?.messages ?? 0, totalBytes: rows[0]?.bytes ?? 0 };
}

/** Evenly spread over `from`, within the limits. */
async function draw(
  store: BodyStore,
  from: readonly Candidate[],
  limits: SampleLimits,
): Promise<readonly Uint8Array[]> {
  const step = Math.max(1, Math.ceil(from.length / limits.bodies));
  const ids: string[] = [];
  let bytes = 0;
  for (let at = 0; at < from.length && bytes < limits.bytes; at += step) {
    const candidate = from[at];
    if (candidate === undefined) break;
    ids.push(candidate.id);
    bytes += Math.min(candidate.bytes, limits.bytesPerBody);
  }
  const bodies = await store.read(ids);
  return ids.flatMap((id) => {
    const body = bodies.get(id);
    return body === undefined ? [] : [body.subarray(0, limits.bytesPerBody)];
  });
}

/** Draws both samples. Every fifth body by rank may be drawn for measuring, the others for training. */
export async function sampleBodies(
  sql: Sql,
  limits: { readonly trial: SampleLimits; readonly training: SampleLimits },
): Promise<BodySamples> {
  const totals = await bodyTotals(sql);
  const wanted = limits.trial.bodies * 5 + limits.training.bodies * 2;
  // Not a multiple of five, or the fifths would be all or nothing.
  const spread = Math.max(1, Math.floor(totals.messages / wanted));
  const ranked = await candidates(sql, spread % 5 === 0 ? spread - 1 : spread);
  const store = openBodyStore(sql, { cacheBytes: 0 });
  const tiny = ranked.length < smallArchive;
  const forTrial = tiny ? ranked : ranked.filter(({ n }) => n % 5 === 0);
  const forTraining = tiny ? ranked : ranked.filter(({ n }) => n % 5 !== 0);
  return {
    ...totals,
    trial: await draw(store, forTrial, limits.trial),
    training: await draw(store, forTraining, limits.training),
  };
}
