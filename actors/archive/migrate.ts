/**
 * Moves a source into the archive schema: cut into batches, loaded in parallel, resumable, verified.
 *
 * At most `loaders` batches of 8 MiB plus one body are in memory, and one more that is being read.
 * Killed at any point, a later call with the same `runId` goes on behind the batches that are loaded.
 *
 * @module
 */

import type { Sql } from "postgres";
import { AgentError } from "../../machines/error-code.ts";
import type { Log, Progress } from "../ports.ts";
import { databaseError } from "./database-error.ts";
import { createDimensionResolver } from "./dimension-ids.ts";
import { settleDuplicateIds } from "./duplicate-ids.ts";
import { loadBatch } from "./load-batch.ts";
import { cutBatches, type MigrationBatch } from "./migration-batch.ts";
import {
  beginRun,
  finishRun,
  maxPositions,
  type RunState,
  type RunTotals,
  removeRun,
} from "./migration-run.ts";
import { openSource } from "./source.ts";
import type { ArchiveSource } from "./source-contract.ts";
import { verifyBatches, verifyTotals } from "./verify-migration.ts";

/** What a migration needs of an agent's context; an `AgentContext` fits. */
export interface MigrationHost {
  readonly sql: Sql;
  readonly signal: AbortSignal;
  readonly clock: { monotonicMs(): number };
  readonly log: Pick<Log, "error">;
  heartbeat(progress?: Progress): void;
}

export interface MigrationOptions {
  readonly runId: string;
  /** URL for `openSource`. */
  readonly archive: string;
  readonly batchSize: number;
  /** Batches that are loaded at once, from 1; also the connections in use. */
  readonly loaders: number;
  /** Removes earlier runs of the same source URL; otherwise the source is added to what is there. */
  readonly replace: boolean;
}

export interface MigrationResult extends RunTotals {
  readonly runId: string;
  /** Of the migrated bodies. */
  readonly bytes: number;
  /** Records that were loaded by earlier attempts of the run. */
  readonly resumedFrom: number;
  /** Rejects by reason. */
  readonly rejects: Readonly<Record<string, number>>;
  readonly checksumsVerified: number;
  /** Of this attempt: loading, and loading with verification. */
  readonly loadMs: number;
  readonly durationMs: number;
  /** Records read in this attempt over `durationMs`. */
  readonly rowsPerSecond: number;
  readonly remarks: readonly string[];
}

/**
 * The schema must exist. A failure that a later attempt may outlive leaves what is loaded; any other
 * removes the run, so that nothing half-done stays.
 *
 * @throws {AgentError} What `openSource` throws, `DISK_FULL` and `DATABASE_UNAVAILABLE` (retryable),
 * `ARCHIVE_CHANGED`, `RUN_LOST`, `MIGRATION_MISMATCH`
 */
export async function migrateArchive(
  host: MigrationHost,
  options: MigrationOptions,
): Promise<MigrationResult> {
  const source = await openSource(options.archive);
  try {
    return await migrateSource(host, options, source);
  } catch (error) {
    throw databaseError(`migrate "${options.archive}"`, error);
  } finally {
    source.close();
  }
}

async function migrateSource(
  host: MigrationHost,
  options: MigrationOptions,
  source: ArchiveSource,
): Promise<MigrationResult> {
  const { sql, clock } = host;
  const startedMs = clock.monotonicMs();
  const run = await beginRun(sql, {
    runId: options.runId,
    source: options.archive,
    fingerprint: source.fingerprint,
    replace: options.replace,
  });
  try {
    checkUnchanged(source, run);
    return await loadAndVerify(host, options, source, run, startedMs);
  } catch (error) {
    const known = databaseError(`migrate "${options.archive}"`, error);
    const isFinal = known instanceof AgentError && !known.retryable;
    if (isFinal && !host.signal.aborted) await removeFailed(host, run);
    throw known;
  }
}

/** Batches are found again by positions in the source. @throws {AgentError} `ARCHIVE_CHANGED` */
function checkUnchanged({ url, fingerprint }: ArchiveSource, run: RunState): void {
  if (fingerprint === run.fingerprint) return;
  throw new AgentError(
    "ARCHIVE_CHANGED",
    `Cannot go on with migration "${run.runId}": "${url}" changed since it began (then: ${run.fingerprint}; now: ${fingerprint}), start Phase 1 anew`,
  );
}

/** The caller needs the error that ended the run, not one of the clean-up after it. */
async function removeFailed({ sql, log }: MigrationHost, run: RunState): Promise<void> {
  try {
    await removeRun(sql, run.runId, run.owner);
  } catch (error) {
    log.error(
      "cannot remove a failed migration; what it loaded stays until its source is migrated again",
      {
        runId: run.runId,
        error: String(error),
      },
    );
  }
}

async function loadAndVerify(
  host: MigrationHost,
  options: MigrationOptions,
  source: ArchiveSource,
  run: RunState,
  startedMs: number,
): Promise<MigrationResult> {
  const { sql, clock } = host;
  await loadAll(host, options, source, run);
  const loadMs = clock.monotonicMs() - startedMs;
  const checksumsVerified = await verifyBatches(sql, run, {
    signal: host.signal,
    parallel: options.loaders,
    onVerified: (done, total) => {
      host.heartbeat({ done, total, message: "verifying batches" });
    },
  });
  host.signal.throwIfAborted();
  await settleDuplicateIds(sql, run, source.sameId);
  const totals = await verifyTotals(sql, run.runId);
  host.signal.throwIfAborted();
  await finishRun(sql, run, totals);
  await sql`analyze archive.messages, archive.bodies, archive.users, archive.conversations`;
  const durationMs = clock.monotonicMs() - startedMs;
  return {
    runId: run.runId,
    ...totals,
    ...(await bytesAndRejects(sql, run.runId)),
    resumedFrom: run.done,
    checksumsVerified,
    loadMs: Math.round(loadMs),
    durationMs: Math.round(durationMs),
    rowsPerSecond: Math.round((totals.read - run.done) / Math.max(durationMs / 1_000, 0.001)),
    remarks: source.remarks,
  };
}

async function loadAll(
  host: MigrationHost,
  { batchSize, loaders }: MigrationOptions,
  source: ArchiveSource,
  run: RunState,
): Promise<void> {
  const dimensions = createDimensionResolver(host.sql);
  const inFlight = new Set<Promise<void>>();
  let failure: { error: unknown } | undefined;
  let { done } = run;
  const load = async (batch: MigrationBatch): Promise<void> => {
    try {
      await loadBatch(host.sql, run, batch, await dimensions.resolve(batch));
      done += batch.records.length + batch.rejects.length;
      host.heartbeat(progress(done, source.expected));
    } catch (error) {
      failure ??= { error };
    }
  };
  try {
    for await (const batch of cutBatches(source, batchSize, run.start)) {
      host.signal.throwIfAborted();
      if (failure !== undefined) break;
      if (isLoaded(run, batch)) continue;
      const loading = load(batch).finally(() => inFlight.delete(loading));
      inFlight.add(loading);
      if (inFlight.size >= loaders) await Promise.race(inFlight);
    }
  } finally {
    await Promise.all(inFlight);
  }
  if (failure !== undefined) throw failure.error;
}

function progress(done: number, total: number | undefined): Progress {
  const message = "loading messages";
  if (total === undefined || total === 0) return { done, message };
  return { done, total, percent: Math.min(100, (done / total) * 100), message };
}

function isLoaded(run: RunState, batch: MigrationBatch): boolean {
  if (batch.lastPosition > maxPositions) {
    throw new AgentError(
      "ARCHIVE_TOO_LARGE",
      `Cannot migrate more than ${maxPositions} messages in one run: split the archive`,
    );
  }
  const last = run.loaded.get(batch.number);
  if (last === undefined) return false;
  if (last !== batch.lastPosition) {
    throw new AgentError(
      "ARCHIVE_CHANGED",
      `Cannot go on with migration "${run.runId}": the source or the batch size changed since batch ${batch.number} was loaded`,
    );
  }
  return true;
}

async function bytesAndRejects(
  sql: Sql,
  runId: string,
): Promise<{ bytes: number; rejects: Record<string, number> }> {
  const [sum] = await sql<{ bytes: string }[]>`
    select coalesce(sum(body_bytes), 0) as bytes from archive.messages where run_id = ${runId}`;
  const reasons = await sql<{ reason: string; count: string }[]>`
    select reason, count(*) from archive.rejects where run_id = ${runId} group by reason order by reason`;
  return {
    bytes: Number(sum?.bytes ?? 0),
    rejects: Object.fromEntries(reasons.map(({ reason, count }) => [reason, Number(count)])),
  };
}
