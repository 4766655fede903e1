/**
 * TESTBED.run_comprehensive_integration_tests: ingests, reads, searches, deduplicates, loads and breaks the
 * live archive, and leaves it as it was.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { type DedupSettings, dedupSettings } from "../../archive/dedup-settings.ts";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";
import { checkConcurrentLoad, checkRead, checkSearch } from "./archive-checks.ts";
import { type Check, checkSchema, type Finding, runCheck } from "./check.ts";
import {
  deduplicate,
  type ExtraMessages,
  extraRunId,
  ingestExtra,
  pickOriginals,
  removeExtra,
} from "./extra-messages.ts";
import { killOwnTransaction } from "./kill-own-transaction.ts";

/** Messages of the further batch, and of the one that is written under load. */
const EXTRA_MESSAGES = 50;
const LOAD_MESSAGES = 20;
/** Sources that the test ingests. */
const EXTRA_NAMES = ["extra", "load"];

export const runComprehensiveIntegrationTests = capability({
  description:
    "Ingests a further batch, reads, searches and deduplicates it, under load and with a killed transaction",
  input: z.object({ settings: dedupSettings }),
  output: z.object({ passed: z.number(), checks: z.array(checkSchema), durationMs: z.number() }),
  connections: 4,
  async run(ctx, { settings }) {
    const startMs = ctx.clock.monotonicMs();
    await cleanUp(ctx);
    const before = await countOthers(ctx);
    const checks = await checkAndCleanUp(ctx, settings);
    checks.push(await runCheck(ctx, "clean up", () => checkCleanUp(ctx, settings, before)));
    const failed = checks.filter((check) => !check.passed);
    if (failed.length > 0) {
      const list = failed.map((check) => `${check.name} (${check.problem ?? "no reason given"})`);
      throw new AgentError(
        "INTEGRATION_FAILED",
        `Cannot accept the archive: ${failed.length} of ${checks.length} checks failed: ${list.join("; ")}`,
      );
    }
    return { passed: checks.length, checks, durationMs: ctx.clock.monotonicMs() - startMs };
  },
  compensate: (ctx) => cleanUp(ctx),
});

async function checkAndCleanUp(ctx: AgentContext, settings: DedupSettings): Promise<Check[]> {
  try {
    return await runChecks(ctx, settings);
  } finally {
    await cleanUp(ctx);
  }
}

async function runChecks(ctx: AgentContext, settings: DedupSettings): Promise<Check[]> {
  const originals = await pickOriginals(ctx, EXTRA_MESSAGES);
  if (originals.length === 0) {
    throw new AgentError("ARCHIVE_EMPTY", "Cannot test the archive: it holds no text to copy");
  }
  let ingested: ExtraMessages | undefined;
  const checks = [
    await runCheck(ctx, "ingest", async () => {
      ingested = await ingestExtra(ctx, "extra", originals);
      return checkIngest(ingested);
    }),
  ];
  const extra = ingested;
  if (extra !== undefined) {
    checks.push(
      await runCheck(ctx, "read", () => checkRead(ctx.sql, extra)),
      await runCheck(ctx, "search", () => checkSearch(ctx.sql, extra)),
      await runCheck(ctx, "deduplicate", () => checkDeduplication(ctx, settings, extra)),
    );
  }
  checks.push(
    await runCheck(ctx, "concurrent load", () =>
      checkConcurrentLoad(ctx, async () => {
        const { result } = await ingestExtra(ctx, "load", originals.slice(0, LOAD_MESSAGES));
        return result.migrated;
      }),
    ),
    await runCheck(ctx, "killed transaction", () => killOwnTransaction(ctx.sql)),
  );
  return checks;
}

function checkIngest({ records, result, ids }: ExtraMessages): Finding {
  const { read, migrated, rejected, rowsPerSecond } = result;
  const complete = migrated === records.length && ids.length === records.length && rejected === 0;
  return {
    figures: { read, migrated, rejected, rowsPerSecond },
    problem: complete ? undefined : `${ids.length} of ${records.length} messages are there`,
  };
}

/** Every copy must be found to be a duplicate of its original. */
async function checkDeduplication(
  ctx: AgentContext,
  settings: DedupSettings,
  { ids, records }: ExtraMessages,
): Promise<Finding> {
  const { counts, clusters } = await deduplicate(ctx, settings);
  const originals = records.map((record) => record.originalId);
  const [found] = await ctx.sql<{ together: number }[]>`
    select count(*)::float8 as together
    from unnest(${[...ids]}::bigint[], ${originals}::bigint[]) as pair (copy, original)
    join archive.duplicates c on c.message_id = pair.copy
    join archive.duplicates o on o.message_id = pair.original and o.cluster_id = c.cluster_id`;
  const together = found?.together ?? 0;
  return {
    figures: { examined: counts.messages, together, clusters: clusters.clusters },
    problem:
      together === ids.length
        ? undefined
        : `${ids.length - together} of ${ids.length} copies are not with their original`,
  };
}

async function checkCleanUp(
  ctx: AgentContext,
  settings: DedupSettings,
  before: number,
): Promise<Finding> {
  // Clusters are made of what is left.
  const { clusters } = await deduplicate(ctx, settings);
  const after = await countMessages(ctx);
  return {
    figures: { messagesBefore: before, messagesAfter: after, clusters: clusters.clusters },
    problem: after === before ? undefined : `${after} messages, ${before} before the test`,
  };
}

async function cleanUp(ctx: AgentContext): Promise<void> {
  for (const name of EXTRA_NAMES) await removeExtra(ctx, name);
}

/**
 * Messages that are not of this test. What an attempt that died has left, or is still writing, does not
 * count: it is gone at the end.
 */
async function countOthers(ctx: AgentContext): Promise<number> {
  const own = EXTRA_NAMES.map((name) => extraRunId(ctx, name));
  const [row] = await ctx.sql<{ messages: number }[]>`
    select count(*)::float8 as messages from archive.messages where run_id <> all(${own}::text[])`;
  return row?.messages ?? 0;
}

async function countMessages({ sql }: AgentContext): Promise<number> {
  const [row] = await sql<{ messages: number }[]>`
    select count(*)::float8 as messages from archive.messages`;
  return row?.messages ?? 0;
}
