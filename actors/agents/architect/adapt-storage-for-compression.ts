/**
 * ARCHITECT.adapt_storage_for_compression: makes compressed bodies the archive's storage.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import {
  dropVerifiedBodies,
  reclaimBodySpace,
  restoreRawBodies,
} from "../../archive/body-adoption.ts";
import { compressionTotals } from "../../archive/body-compression.ts";
import { defaultCacheBytes, openBodyStore } from "../../archive/body-store.ts";
import { applyCompressionDdl } from "../../archive/compression-schema.ts";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";

const sizes = z.object({ bodiesBytes: z.number(), compressedBodiesBytes: z.number() });

const checkpointSchema = z.object({ sizesBefore: sizes });

const output = z.object({
  codecs: z.array(
    z.object({
      codec: z.string(),
      dictionaryId: z.number().nullable(),
      bodies: z.number(),
      rawBytes: z.number(),
      storedBytes: z.number(),
    }),
  ),
  verified: z.number(),
  droppedRawBytes: z.number(),
  /** Bodies that stand compressed, all verified now or by an earlier attempt. */
  compressedBodies: z.number(),
  spaceSaved: z.number(),
  /** Tables with their TOAST and indexes, on disk. */
  sizesBefore: sizes,
  sizesAfter: sizes,
  diskSpaceSaved: z.number(),
  reclaim: z.enum(["truncated", "rewritten", "table in use"]),
  readPath: z.object({
    cacheLimitBytes: z.number(),
    probes: z.number(),
    coldMsPerBody: z.number(),
    cachedMsPerBody: z.number(),
  }),
  durationMs: z.number(),
});

async function relationSizes(ctx: AgentContext): Promise<z.output<typeof sizes>> {
  const rows = await ctx.sql<{ bodies: number; compressed: number }[]>`
    select pg_total_relation_size('archive.bodies')::float8 as bodies,
      pg_total_relation_size('archive.compressed_bodies')::float8 as compressed`;
  return {
    bodiesBytes: rows[0]?.bodies ?? 0,
    compressedBodiesBytes: rows[0]?.compressed ?? 0,
  };
}

/** @throws {AgentError} `BODY_MISSING` when a message has a body nowhere. */
async function requireAllBodies(ctx: AgentContext): Promise<void> {
  const rows = await ctx.sql<{ id: string; lost: number }[]>`
    select min(m.id)::text as id, count(*)::float8 as lost from archive.messages m
    where not exists (select from archive.bodies b where b.message_id = m.id)
      and not exists (select from archive.compressed_bodies c where c.message_id = m.id)`;
  const [row] = rows;
  if (row === undefined || row.lost === 0) return;
  throw new AgentError(
    "BODY_MISSING",
    `Cannot adapt the storage: ${row.lost} messages have no body, the first is ${row.id}; migrate the archive again`,
  );
}

/** Times single reads through the read path: a first one, and one that the cache answers. */
async function probeReadPath(ctx: AgentContext) {
  const rows = await ctx.sql<{ id: string }[]>`
    select message_id::text as id from archive.compressed_bodies
    order by md5(message_id::text) limit 64`;
  const store = openBodyStore(ctx.sql);
  const timeAll = async (): Promise<number> => {
    const startedMs = ctx.clock.monotonicMs();
    for (const { id } of rows) await store.read([id]);
    return (ctx.clock.monotonicMs() - startedMs) / Math.max(1, rows.length);
  };
  const coldMsPerBody = await timeAll();
  const cachedMsPerBody = await timeAll();
  return {
    cacheLimitBytes: defaultCacheBytes,
    probes: rows.length,
    coldMsPerBody,
    cachedMsPerBody,
  };
}

async function codecRows(ctx: AgentContext) {
  return [
    ...(await ctx.sql<
      {
        codec: string;
        dictionaryId: number | null;
        bodies: number;
        rawBytes: number;
        storedBytes: number;
      }[]
    >`
      select codec, dictionary_id as "dictionaryId", count(*)::float8 as bodies,
        sum(raw_bytes)::float8 as "rawBytes", sum(octet_length(data))::float8 as "storedBytes"
      from archive.compressed_bodies group by codec, dictionary_id order by bodies desc limit 50`),
  ];
}

async function run(ctx: AgentContext): Promise<z.input<typeof output>> {
  const startedMs = ctx.clock.monotonicMs();
  await applyCompressionDdl(ctx.sql);
  await requireAllBodies(ctx);
  // An attempt that resumes compares with the sizes before the first one.
  const resumed = checkpointSchema.safeParse(ctx.lastCheckpoint);
  const sizesBefore = resumed.success ? resumed.data.sizesBefore : await relationSizes(ctx);
  const before = await compressionTotals(ctx.sql);
  if (before.bodies === 0) {
    throw new AgentError(
      "NOTHING_COMPRESSED",
      "Cannot adapt the storage: archive.compressed_bodies is empty, run OPTIMIZER.integrate_kanzi_compression first",
    );
  }
  let done = 0;
  const dropped = await dropVerifiedBodies(ctx.sql, {
    signal: ctx.signal,
    onBatch: async (batch) => {
      done += batch.bodies;
      ctx.heartbeat({ done, total: before.bodies, message: "verifying compressed bodies" });
      await ctx.checkpoint({ lastId: batch.lastId, done, sizesBefore });
    },
  });
  await ctx.sql`
    update archive.codec_choices set raw_dropped_at = coalesce(raw_dropped_at, now())
    where id = (select max(id) from archive.codec_choices)`;
  const reclaim = await reclaimBodySpace(ctx.sql);
  await ctx.sql`vacuum (analyze) archive.compressed_bodies`;
  const sizesAfter = await relationSizes(ctx);
  const totals = await compressionTotals(ctx.sql);
  const diskBefore = sizesBefore.bodiesBytes;
  const diskAfter = sizesAfter.bodiesBytes + sizesAfter.compressedBodiesBytes;
  return {
    codecs: await codecRows(ctx),
    verified: dropped.verified,
    droppedRawBytes: dropped.rawBytes,
    compressedBodies: totals.bodies,
    spaceSaved: totals.spaceSaved,
    sizesBefore,
    sizesAfter,
    diskSpaceSaved: diskBefore === 0 ? 0 : 1 - diskAfter / diskBefore,
    reclaim,
    readPath: await probeReadPath(ctx),
    durationMs: ctx.clock.monotonicMs() - startedMs,
  };
}

export const adaptStorageForCompression = capability({
  description:
    "Verifies every compressed body against its recorded hash, drops the raw ones and reclaims their space.",
  input: z.object({}),
  output,
  run,
  async compensate(ctx) {
    await restoreRawBodies(ctx.sql, {
      signal: ctx.signal,
      onBatch: async () => ctx.heartbeat({ message: "restoring raw bodies" }),
    });
  },
});
