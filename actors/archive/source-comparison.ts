/**
 * Compares every body in the archive with the source's record, byte for byte, through the read path.
 *
 * @module
 */

import type { Sql } from "postgres";
import { AgentError } from "../../machines/error-code.ts";
import { type BodyStore, openBodyStore } from "./body-store.ts";
import { type SizeClassName, sizeClasses, sizeClassOf } from "./size-classes.ts";
import type { ArchiveSource, SourceRecord } from "./source-contract.ts";

/** A group of records of one size class is compared when it has this many rows or bytes. */
const groupRows = 250;
const groupBytes = 4 * 1024 * 1024;
/** Ids that a result names at most. */
const namedIds = 20;

export interface ClassFigures {
  name: SizeClassName;
  bodies: number;
  rawBytes: number;
  /** Wall time of reading them back: query, transfer and codec. */
  readMs: number;
  /** Time in the codec alone. */
  expandMs: number;
  cpuMs: number;
}

export interface Comparison {
  readonly compared: number;
  readonly rejected: number;
  readonly rawBytes: number;
  readonly mismatched: readonly string[];
  readonly mismatches: number;
  readonly missing: readonly string[];
  readonly missingCount: number;
  readonly classes: readonly ClassFigures[];
  readonly peakHeapBytes: number;
  /** Whether `cpuMs` counts this thread or, on Node before 22.19, the whole process. */
  readonly cpuScope: "thread" | "process";
}

/** CPU time so far in ms, of this thread where Node can tell. */
function cpuMsSoFar(): { ms: number; scope: "thread" | "process" } {
  const ofThread: unknown = Reflect.get(process, "threadCpuUsage");
  const scope = typeof ofThread === "function" ? "thread" : "process";
  const usage: { user: number; system: number } =
    typeof ofThread === "function" ? Reflect.apply(ofThread, process, []) : process.cpuUsage();
  return { ms: (usage.user + usage.system) / 1_000, scope };
}

interface Run {
  readonly runId: string;
  readonly idBase: bigint;
}

/** The newest finished migration of this source. @throws {AgentError} `SOURCE_NOT_MIGRATED` */
async function findRun(sql: Sql, url: string): Promise<Run> {
  const rows = await sql<{ runId: string; idBase: string }[]>`
    select run_id as "runId", id_base::text as "idBase" from archive.migrations
    where source = ${url} and finished_at is not null order by finished_at desc limit 1`;
  const [row] = rows;
  if (row !== undefined) return { runId: row.runId, idBase: BigInt(row.idBase) };
  throw new AgentError(
    "SOURCE_NOT_MIGRATED",
    `Cannot compare with "${url}": archive.migrations has no finished run of this source`,
  );
}

/** Positions of the source that the migration rejected, of those given. */
async function rejectedOf(sql: Sql, runId: string, positions: readonly number[]) {
  if (positions.length === 0) return new Set<number>();
  const rows = await sql<{ position: number }[]>`
    select position::float8 as position from archive.rejects
    where run_id = ${runId} and position = any(${sql.array(positions.map(String))}::bigint[])`;
  return new Set(rows.map(({ position }) => position));
}

interface Group {
  readonly records: SourceRecord[];
  bytes: number;
}

/** Collects records by size class and yields a group whenever it is full, the rest at the end. */
async function* groupBySize(
  source: ArchiveSource,
  signal: AbortSignal,
  onReject: () => void,
): AsyncGenerator<readonly [SizeClassName, readonly SourceRecord[]]> {
  const groups = new Map<SizeClassName, Group>();
  for await (const entry of source.read()) {
    signal.throwIfAborted();
    if (entry.type === "reject") {
      onReject();
      continue;
    }
    const name = sizeClassOf(entry.content.byteLength);
    const group = groups.get(name) ?? { records: [], bytes: 0 };
    groups.set(name, group);
    group.records.push(entry);
    group.bytes += entry.content.byteLength;
    if (group.records.length < groupRows && group.bytes < groupBytes) continue;
    groups.delete(name);
    yield [name, group.records];
  }
  for (const [name, { records }] of groups) yield [name, records];
}

/** Reads a group through the store and returns its bodies with what that cost. */
async function readTimed(
  store: BodyStore,
  ids: readonly string[],
): Promise<{ bodies: Map<string, Uint8Array>; readMs: number; expandMs: number; cpuMs: number }> {
  const cpuBefore = cpuMsSoFar().ms;
  const expandBefore = store.stats().expandMs;
  const startedMs = performance.now();
  const bodies = await store.read(ids);
  return {
    bodies,
    readMs: performance.now() - startedMs,
    expandMs: store.stats().expandMs - expandBefore,
    cpuMs: cpuMsSoFar().ms - cpuBefore,
  };
}

/** Every record of the source, in groups of one size class each. Stops at nothing but an abort. */
export async function compareWithSource(
  sql: Sql,
  source: ArchiveSource,
  hooks: { readonly signal: AbortSignal; readonly onProgress: (compared: number) => void },
): Promise<Comparison> {
  const { runId, idBase } = await findRun(sql, source.url);
  const store = openBodyStore(sql, { cacheBytes: 0 });
  const classes = sizeClasses.map(
    ({ name }): ClassFigures => ({
      name,
      bodies: 0,
      rawBytes: 0,
      readMs: 0,
      expandMs: 0,
      cpuMs: 0,
    }),
  );
  const mismatched: string[] = [];
  const missing: string[] = [];
  let [compared, rejected, rawBytes, peakHeapBytes] = [0, 0, 0, 0];
  const rejectInSource = (): void => {
    rejected += 1;
  };
  const idOf = (record: SourceRecord): string => String(idBase + BigInt(record.position));
  for await (const [name, records] of groupBySize(source, hooks.signal, rejectInSource)) {
    const read = await readTimed(store, records.map(idOf));
    const absent = records.filter((record) => !read.bodies.has(idOf(record)));
    const known = await rejectedOf(
      sql,
      runId,
      absent.map(({ position }) => position),
    );
    rejected += known.size;
    missing.push(...absent.filter(({ position }) => !known.has(position)).map(idOf));
    const figures = classes.find((entry) => entry.name === name);
    if (figures === undefined) continue;
    figures.readMs += read.readMs;
    figures.expandMs += read.expandMs;
    figures.cpuMs += read.cpuMs;
    for (const record of records) {
      const body = read.bodies.get(idOf(record));
      if (body === undefined) continue;
      compared += 1;
      rawBytes += body.byteLength;
      figures.bodies += 1;
      figures.rawBytes += body.byteLength;
      if (Buffer.compare(body, record.content) !== 0) mismatched.push(idOf(record));
    }
    const memory = process.memoryUsage();
    peakHeapBytes = Math.max(peakHeapBytes, memory.heapUsed + memory.arrayBuffers);
    hooks.onProgress(compared);
  }
  return {
    compared,
    rejected,
    rawBytes,
    mismatched: mismatched.slice(0, namedIds),
    mismatches: mismatched.length,
    missing: missing.slice(0, namedIds),
    missingCount: missing.length,
    classes,
    peakHeapBytes,
    cpuScope: cpuMsSoFar().scope,
  };
}
