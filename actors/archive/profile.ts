/**
 * Measures a source in one pass: what a plan and a table design are computed from.
 *
 * @module
 */

import { isAscii, isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { z } from "zod";
import type { ArchiveSource, SourceEntry, SourceRecord } from "./source-contract.ts";

/** Distinct values that are counted exactly; beyond that the count is a lower bound. */
const maxDistinct = 200_000;
/** Months that are listed at most; further ones are counted with the largest of them still listed. */
const maxMonths = 2_400;
const largestCount = 10;

export const archiveProfile = z.object({
  url: z.string(),
  format: z.enum(["sqlite", "telegram", "mbox"]),
  sourceBytes: z.number(),
  /** Records and rejects. */
  read: z.number(),
  messages: z.number(),
  rejected: z.number(),
  /** Rejects by reason. */
  rejects: z.record(z.string(), z.number()),
  bodyBytes: z.number(),
  meanBodyBytes: z.number(),
  firstAt: z.string().nullable(),
  lastAt: z.string().nullable(),
  senders: z.number(),
  conversations: z.number(),
  /** False: there are more senders than are counted exactly. */
  sendersExact: z.boolean(),
  /** Messages by kind, the 50 most frequent. */
  kinds: z.record(z.string(), z.number()),
  replies: z.number(),
  media: z.number(),
  /** Bodies by encoding: pure ASCII, UTF-8 beyond ASCII, other bytes. */
  encodings: z.object({ ascii: z.number(), utf8: z.number(), other: z.number() }),
  /** Bodies by size. */
  sizeClasses: z.object({
    empty: z.number(),
    upTo1KiB: z.number(),
    upTo4KiB: z.number(),
    upTo16KiB: z.number(),
    upTo256KiB: z.number(),
    larger: z.number(),
  }),
  largest: z.array(z.object({ sourceId: z.string(), bytes: z.number() })),
  /** Messages by month, `YYYY-MM` in UTC, ascending. */
  months: z.array(z.object({ month: z.string(), messages: z.number(), bytes: z.number() })),
  remarks: z.array(z.string()),
  scanMs: z.number(),
  rowsPerSecond: z.number(),
  bytesPerSecond: z.number(),
});

export type ArchiveProfile = z.infer<typeof archiveProfile>;

export interface ProfileHooks {
  readonly signal: AbortSignal;
  readonly clock: { monotonicMs(): number };
  onRead(done: number, total: number | undefined): void;
}

/** Reports and checks for an abort every so many records. */
const reportEvery = 500;

/** Reads the whole source once; memory is bounded by the limits above. */
export async function profileArchive(
  source: ArchiveSource,
  hooks: ProfileHooks,
): Promise<ArchiveProfile> {
  const startedMs = hooks.clock.monotonicMs();
  const tally = createTally();
  let read = 0;
  for await (const entry of source.read()) {
    tally.add(entry);
    read += 1;
    if (read % reportEvery === 0) {
      hooks.signal.throwIfAborted();
      hooks.onRead(read, source.expected);
    }
  }
  const scanMs = Math.max(hooks.clock.monotonicMs() - startedMs, 0.001);
  const counted = tally.result();
  return {
    url: source.url,
    format: source.format,
    sourceBytes: source.sizeBytes,
    read,
    ...counted,
    remarks: [...source.remarks],
    scanMs: Math.round(scanMs),
    rowsPerSecond: Math.round(read / (scanMs / 1_000)),
    bytesPerSecond: Math.round(counted.bodyBytes / (scanMs / 1_000)),
  };
}

type Counted = Omit<
  ArchiveProfile,
  | "url"
  | "format"
  | "sourceBytes"
  | "read"
  | "remarks"
  | "scanMs"
  | "rowsPerSecond"
  | "bytesPerSecond"
>;

interface Tally {
  add(entry: SourceEntry): void;
  result(): Counted;
}

function createTally(): Tally {
  const rejects = new Map<string, number>();
  const kinds = new Map<string, number>();
  const months = new Map<string, { messages: number; bytes: number }>();
  const senders = new Set<string>();
  const conversations = new Set<string>();
  const encodings = { ascii: 0, utf8: 0, other: 0 };
  const sizeClasses = {
    empty: 0,
    upTo1KiB: 0,
    upTo4KiB: 0,
    upTo16KiB: 0,
    upTo256KiB: 0,
    larger: 0,
  };
  let largest: { sourceId: string; bytes: number }[] = [];
  let [messages, rejected, bodyBytes, replies, media] = [0, 0, 0, 0, 0];
  let first: Date | undefined;
  let last: Date | undefined;

  function addRecord(record: SourceRecord): void {
    const bytes = record.content.length;
    messages += 1;
    bodyBytes += bytes;
    if (record.replyTo !== null) replies += 1;
    if (record.media !== null) media += 1;
    if (first === undefined || record.sentAt < first) first = record.sentAt;
    if (last === undefined || record.sentAt > last) last = record.sentAt;
    if (record.user !== null) addBounded(senders, record.user.sourceId);
    addBounded(conversations, record.conversation.sourceId);
    if (record.kind !== null && (kinds.has(record.kind) || kinds.size < 1_000)) {
      increment(kinds, record.kind);
    }
    encodings[encodingOf(record.content)] += 1;
    sizeClasses[sizeClassOf(bytes)] += 1;
    addMonth(months, record.sentAt.toISOString().slice(0, 7), bytes);
    if (largest.length < largestCount || bytes > (largest.at(-1)?.bytes ?? 0)) {
      largest.push({ sourceId: record.sourceId, bytes });
      largest = largest.sort((a, b) => b.bytes - a.bytes).slice(0, largestCount);
    }
  }

  return {
    add(entry) {
      if (entry.type === "record") return addRecord(entry);
      rejected += 1;
      increment(rejects, entry.reason);
    },
    result: () => ({
      messages,
      rejected,
      rejects: Object.fromEntries([...rejects].sort(byKey)),
      bodyBytes,
      meanBodyBytes: messages === 0 ? 0 : Math.round(bodyBytes / messages),
      firstAt: first?.toISOString() ?? null,
      lastAt: last?.toISOString() ?? null,
      senders: senders.size,
      conversations: conversations.size,
      sendersExact: senders.size < maxDistinct,
      kinds: Object.fromEntries([...kinds].sort((a, b) => b[1] - a[1]).slice(0, 50)),
      replies,
      media,
      encodings,
      sizeClasses,
      largest,
      months: [...months].sort(byKey).map(([month, figures]) => ({ month, ...figures })),
    }),
  };
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Ids are kept as short hashes, so that long ones take no more memory than others. */
function addBounded(seen: Set<string>, id: string): void {
  const key =
    id.length <= 24 ? id : createHash("sha256").update(id).digest("base64url").slice(0, 24);
  if (seen.size < maxDistinct) seen.add(key);
}

function addMonth(
  months: Map<string, { messages: number; bytes: number }>,
  month: string,
  bytes: number,
): void {
  const figures = months.get(month) ?? { messages: 0, bytes: 0 };
  if (figures.messages === 0 && months.size >= maxMonths) return;
  months.set(month, { messages: figures.messages + 1, bytes: figures.bytes + bytes });
}

function encodingOf(content: Uint8Array): "ascii" | "utf8" | "other" {
  if (isAscii(content)) return "ascii";
  return isUtf8(content) ? "utf8" : "other";
}

function sizeClassOf(
  bytes: number,
): "empty" | "upTo1KiB" | "upTo4KiB" | "upTo16KiB" | "upTo256KiB" | "larger" {
  if (bytes === 0) return "empty";
  if (bytes <= 1_024) return "upTo1KiB";
  if (bytes <= 4_096) return "upTo4KiB";
  if (bytes <= 16_384) return "upTo16KiB";
  return bytes <= 262_144 ? "upTo256KiB" : "larger";
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}
