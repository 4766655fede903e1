/**
 * OPTIMIZER.implement_deduplication_engine: clusters exact and near duplicates over the whole archive.
 *
 * @module
 */

import { z } from "zod";
import { deduplicateArchive } from "../../archive/dedup-run.ts";
import { clearDedupResults } from "../../archive/dedup-schema.ts";
import { dedupSettings } from "../../archive/dedup-settings.ts";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";

const input = z.object({ settings: dedupSettings });

const output = z.object({
  cache: z.enum(["redis", "postgres"]),
  cacheRestored: z.number(),
  restarted: z.boolean(),
  messages: z.number(),
  signedByThisAttempt: z.number(),
  candidates: z.number(),
  compared: z.number(),
  clusters: z.number(),
  exactClusters: z.number(),
  nearClusters: z.number(),
  /** Members of clusters but their representatives. */
  duplicates: z.number(),
  duplicateShare: z.number(),
  duplicateBytes: z.number(),
  largestCluster: z.number(),
  /** Clusters with messages of more than one conversation. */
  acrossConversations: z.number(),
  examples: z.array(
    z.object({
      representative: z.string(),
      kind: z.string(),
      size: z.number(),
      lowestSimilarity: z.number(),
    }),
  ),
  messagesPerS: z.number().nullable(),
  durationMs: z.number(),
});

async function summarise(ctx: AgentContext) {
  const [totals] = await ctx.sql<{ messages: number; duplicateBytes: number; across: number }[]>`
    select (select count(*)::float8 from archive.signatures) as messages,
      (select coalesce(sum(s.body_bytes), 0)::float8 from archive.duplicates d
        join archive.signatures s on s.message_id = d.message_id
        where d.message_id <> d.cluster_id) as "duplicateBytes",
      (select count(*)::float8 from (
        select d.cluster_id from archive.duplicates d
        join archive.messages m on m.id = d.message_id
        group by d.cluster_id having count(distinct m.conversation_id) > 1) c) as across`;
  const examples = await ctx.sql<
    { representative: string; kind: string; size: number; lowestSimilarity: number }[]
  >`
    select c.representative::text as representative, c.kind, c.size,
      min(d.similarity) as "lowestSimilarity"
    from archive.duplicate_clusters c join archive.duplicates d on d.cluster_id = c.id
    group by c.id order by c.size desc, c.id limit 10`;
  return {
    messages: totals?.messages ?? 0,
    duplicateBytes: totals?.duplicateBytes ?? 0,
    acrossConversations: totals?.across ?? 0,
    examples: [...examples],
  };
}

async function run(
  ctx: AgentContext,
  { settings }: z.output<typeof input>,
): Promise<z.input<typeof output>> {
  const startedMs = ctx.clock.monotonicMs();
  const result = await deduplicateArchive(ctx.sql, {
    settings,
    redisUrl: ctx.host.redisUrl,
    signal: ctx.signal,
    onProgress: async ({ done, total, lastId }) => {
      ctx.heartbeat({ done, total, message: "finding duplicates" });
      await ctx.checkpoint({ done, total, lastId });
    },
  });
  const summary = await summarise(ctx);
  const durationMs = ctx.clock.monotonicMs() - startedMs;
  const { counts, clusters } = result;
  return {
    cache: result.cacheKind,
    cacheRestored: result.cacheRestored,
    restarted: result.restarted,
    signedByThisAttempt: counts.messages,
    candidates: counts.candidates,
    compared: counts.compared,
    clusters: clusters.clusters,
    exactClusters: clusters.exactClusters,
    nearClusters: clusters.nearClusters,
    duplicates: clusters.duplicates,
    duplicateShare: summary.messages === 0 ? 0 : clusters.duplicates / summary.messages,
    largestCluster: clusters.largest,
    ...summary,
    messagesPerS: counts.messages === 0 ? null : (counts.messages * 1_000) / durationMs,
    durationMs,
  };
}

/** Forgets the results; the messages and their bodies are never touched. */
async function compensate(ctx: AgentContext): Promise<void> {
  const [row] = await ctx.sql<{ there: boolean }[]>`
    select to_regclass('archive.signatures') is not null as there`;
  if (row?.there === true) await clearDedupResults(ctx.sql, "archive");
}

export const implementDeduplicationEngine = capability({
  description:
    "Finds exact and near duplicates over all conversations and stores clusters, representatives and similarities.",
  input,
  output,
  // A batch holds one in its transaction while bodies and cache are read through the other.
  connections: 2,
  run,
  compensate,
});
