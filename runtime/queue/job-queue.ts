/**
 * The dispatch queue of one placement group, on BullMQ: Redis or PostgreSQL behind one interface.
 *
 * The queue holds nothing that Postgres does not know: a job names a task and an attempt, and the
 * engine adds it again when it is missing. Losing a job's lock does not stop its work; the attempt
 * number in our own tables is what fences it.
 *
 * @module
 */

import { createPostgresBackend, type IQueueBackend, Queue, runMigrations, Worker } from "bullmq";
import { Redis } from "ioredis";
import pg from "pg";
import type { Log } from "../../actors/ports.ts";
import type { DatabaseTarget } from "../../db/client.ts";

/**
 * With these a killed process's job is taken over in 2.5 to 4 s: the lock must lapse, then two
 * sweeps mark and move it. BullMQ's defaults take 57 s.
 */
const lockDurationMs = 2_000;
const stalledIntervalMs = 1_500;
/** Ours is the only count that may fail a task: BullMQ must never give up on a job by itself. */
const maxStalledCount = 1_000_000;
/** How long the server may take for each step of saying goodbye, once no job is in hand. */
const closeLimitMs = 2_000;
/** How long the Redis server may take to accept, and to answer, at start. */
const probeTimeoutMs = 3_000;
/** Connections of the PostgreSQL backend: two for commands, one that listens. */
export const queueConnections = 3;

export interface TaskJob {
  readonly workflowId: string;
  readonly taskKey: string;
  readonly attempt: number;
}

export type QueueBackend =
  | { readonly type: "postgres"; readonly target: DatabaseTarget }
  | { readonly type: "redis"; readonly url: string };

export interface JobQueueOptions {
  readonly name: string;
  readonly backend: QueueBackend;
  /** Jobs that this node takes at once. */
  readonly concurrency: number;
  readonly log: Log;
  /** Must settle; a rejection returns the job to the queue as failed and it is dropped. */
  process(job: TaskJob): Promise<void>;
  /** The server knows that a job is done. */
  onAcknowledged?(): void;
}

export interface JobQueue {
  readonly kind: QueueBackend["type"];
  /** Adds what is not there yet: one job per (task, attempt). `priority` is 1 to 5, higher first. */
  add(jobs: readonly (TaskJob & { readonly priority: number })[]): Promise<void>;
  /** Stops taking jobs; resolves when those in hand have ended, also when the server is gone. */
  close(): Promise<void>;
}

/** BullMQ forbids a single `:` in job ids. */
function jobId({ workflowId, taskKey, attempt }: TaskJob): string {
  return `${workflowId}/${taskKey}/${attempt}`;
}

function openPool(target: DatabaseTarget): pg.Pool {
  const pool = new pg.Pool({
    max: queueConnections,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    application_name: "spectra-queue",
    // BullMQ's functions are found only through the search path.
    options: "-c search_path=bullmq",
    ...(target.type === "url"
      ? { connectionString: target.url }
      : {
          host: target.socketDir,
          port: target.port,
          user: target.user,
          password: target.password,
          database: target.database,
        }),
  });
  return pool;
}

/** Creates or upgrades BullMQ's own tables; it never does so by itself. */
async function migrateQueue(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await runMigrations(client);
  } finally {
    client.release();
  }
}

interface Backing {
  /** Passed to BullMQ's constructors: the options of the connection, then the backend's factory. */
  readonly connection: unknown;
  readonly factory: unknown;
  close(): Promise<void>;
}

async function openPostgres(
  target: DatabaseTarget,
  onError: (error: Error) => void,
): Promise<Backing> {
  const pool = openPool(target);
  pool.on("error", onError);
  await migrateQueue(pool);
  return { connection: pool, factory: createPostgresBackend, close: () => pool.end() };
}

/** A server that does not answer at start is an error now, not a silent wait. */
async function probeRedis(url: string): Promise<void> {
  const probe = new Redis(url, {
    lazyConnect: true,
    connectTimeout: probeTimeoutMs,
    // A port that accepts and then says nothing must not be waited for.
    commandTimeout: probeTimeoutMs,
    retryStrategy: () => null,
  });
  let reason = "";
  probe.on("error", (error: Error) => {
    reason = error.message;
  });
  try {
    await probe.connect();
    await probe.ping();
  } catch (error) {
    throw new QueueError(
      `Cannot reach Redis at ${withoutPassword(url)}: ${reason || String(error)}. Start it, correct REDIS_URL, or unset REDIS_URL to queue in PostgreSQL`,
      { cause: error },
    );
  } finally {
    probe.disconnect();
  }
}

/** Only what names the server: user, password and options are left out. */
function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return "the address in REDIS_URL";
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

export class QueueError extends Error {
  override readonly name = "QueueError";
  readonly code = "REDIS_UNREACHABLE";
  readonly retryable = true;
}

async function openRedis(url: string, onError: (error: Error) => void): Promise<Backing> {
  await probeRedis(url);
  const redis = new Redis(url, {
    // BullMQ's blocking connection needs commands that wait for a reconnect.
    maxRetriesPerRequest: null,
    connectTimeout: 2_000,
    keepAlive: 5_000,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 2_000),
  });
  redis.on("error", onError);
  return {
    connection: redis,
    factory: undefined,
    close: async () => {
      redis.disconnect();
    },
  };
}

export async function openJobQueue(options: JobQueueOptions): Promise<JobQueue> {
  const { backend, log, name } = options;
  const onError = throttleErrors(log);
  const backing =
    backend.type === "postgres"
      ? await openPostgres(backend.target, onError)
      : await openRedis(backend.url, onError);
  const common = { connection: backing.connection } as { connection: never };
  const factory = backing.factory as never;
  const inHand = new Set<Promise<void>>();
  const queue = new Queue<TaskJob, void, string, TaskJob, void, string, IQueueBackend>(
    name,
    { ...common, defaultJobOptions: { removeOnComplete: true, removeOnFail: true } },
    factory,
  );
  const worker = new Worker<TaskJob, void, string, IQueueBackend>(
    name,
    (job) => {
      const work = options.process(job.data).finally(() => inHand.delete(work));
      inHand.add(work);
      return work;
    },
    {
      ...common,
      concurrency: options.concurrency,
      lockDuration: lockDurationMs,
      stalledInterval: stalledIntervalMs,
      maxStalledCount,
      runRetryDelay: 500,
      drainDelay: 30,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    },
    factory,
  );
  queue.on("error", onError);
  worker.on("error", onError);
  if (options.onAcknowledged !== undefined) worker.on("completed", options.onAcknowledged);
  worker.on("failed", (job, error) => {
    log.warn("queue job failed", { job: job?.id, error: error.message });
  });
  let closed: Promise<void> | undefined;
  async function close(): Promise<void> {
    const orderly = (async () => {
      await worker.close();
      await queue.close();
      await backing.close();
    })();
    while (inHand.size > 0) await Promise.allSettled(inHand);
    const isOrderly = await within(closeLimitMs, orderly);
    if (isOrderly) return;
    log.warn("the queue's server does not answer, leaving it without a goodbye");
    await within(closeLimitMs, Promise.all([worker.disconnect(), backing.close()]));
  }
  return {
    kind: backend.type,
    add: async (jobs) => {
      await queue.addBulk(
        jobs.map((job) => ({
          name: job.taskKey,
          data: { workflowId: job.workflowId, taskKey: job.taskKey, attempt: job.attempt },
          // BullMQ: 1 is the most urgent.
          opts: { jobId: jobId(job), priority: 6 - job.priority },
        })),
      );
    },
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/** False when the promise did not settle in time, or rejected. */
async function within(limitMs: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, limitMs, false);
  });
  const settled = promise.then(
    () => true,
    () => false,
  );
  const isDone = await Promise.race([settled, late]);
  clearTimeout(timer);
  return isDone;
}

/** One line per second at most: a lost server makes every client report its own loss. */
function throttleErrors(log: Log): (error: Error) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  let unsaid = 0;
  return (error) => {
    const nowMs = performance.now();
    if (nowMs - lastMs < 1_000) {
      unsaid += 1;
      return;
    }
    log.warn("queue connection trouble, reconnecting", {
      error: error.message || error.name,
      unsaid,
    });
    lastMs = nowMs;
    unsaid = 0;
  };
}
