/**
 * Reads every body once: counts secrets and personal data, and proves that its hash is the recorded one.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { BodyRef } from "../../archive/body-batches.ts";
import { walkBodies } from "../../archive/body-batches.ts";
import { openBodyStore } from "../../archive/body-store.ts";
import type { AgentContext } from "../../ports.ts";
import { countSensitive, noSensitiveData, sensitiveKinds } from "./sensitive-data.ts";

/** Ids of one page; the bytes of a batch are bounded by `walkBodies`. */
const PAGE_ROWS = 2_000;
/** A body is searched in parts of this size, so that its text is never held whole. */
const PART_BYTES = 1024 * 1024;
/** Parts overlap by more than the longest pattern that matters. */
const OVERLAP_BYTES = 512;
/** Ids of damaged bodies that are named. */
const MAX_NAMED = 20;

interface HashedRef extends BodyRef {
  readonly sha256: Buffer;
}

export type BodyScan = Awaited<ReturnType<typeof scanBodies>>;

/**
 * Bounded memory: one batch of bodies at a time.
 * `chainHead` is sha256 over (previous head, body hash) in the order of ids: one figure for the whole archive.
 */
export async function scanBodies(ctx: AgentContext) {
  const store = openBodyStore(ctx.sql, { cacheBytes: 0 });
  const [counted] = await ctx.sql<{ total: number }[]>`
    select count(*)::float8 as total from archive.messages`;
  const total = counted?.total ?? 0;
  const counts = noSensitiveData();
  const messagesWith = noSensitiveData();
  const damaged: string[] = [];
  let page = new Map<string, HashedRef>();
  let head = Buffer.alloc(32);
  let bodies = 0;
  let sizeBytes = 0;
  let damagedBodies = 0;
  const nextPage = async (after: string) => {
    const rows = await readPage(ctx, after);
    page = new Map(rows.map((row) => [row.id, row]));
    return rows;
  };
  for await (const batch of walkBodies(nextPage)) {
    ctx.signal.throwIfAborted();
    const found = await store.read(batch.map((ref) => ref.id));
    for (const { id } of batch) {
      const body = found.get(id);
      const recorded = page.get(id)?.sha256;
      const actual = createHash("sha256")
        .update(body ?? new Uint8Array())
        .digest();
      if (body === undefined || recorded === undefined || !actual.equals(recorded)) {
        damagedBodies += 1;
        if (damaged.length < MAX_NAMED) damaged.push(id);
      }
      head = createHash("sha256").update(head).update(actual).digest();
      if (body === undefined) continue;
      bodies += 1;
      sizeBytes += body.byteLength;
      const inBody = countInBody(body);
      for (const kind of sensitiveKinds) {
        counts[kind] += inBody[kind];
        messagesWith[kind] += inBody[kind] > 0 ? 1 : 0;
      }
    }
    ctx.heartbeat({ done: bodies, total, percent: total === 0 ? 100 : (bodies / total) * 100 });
  }
  const chainHead = head.toString("hex");
  return { bodies, sizeBytes, damagedBodies, damaged, chainHead, counts, messagesWith };
}

function readPage(ctx: AgentContext, after: string): Promise<HashedRef[]> {
  return ctx.sql<HashedRef[]>`
    select id::text as id, body_bytes as "sizeBytes", body_sha256 as sha256
    from archive.messages m where m.id > ${after} order by m.id limit ${PAGE_ROWS}`;
}

/** What lies in an overlap is counted in the part that it ends in, hence once. */
function countInBody(body: Uint8Array) {
  const counts = noSensitiveData();
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  for (let start = 0; start < bytes.length; start += PART_BYTES) {
    // latin1: one sign per byte, whatever the encoding; all patterns are ASCII.
    const overlap = start === 0 ? 0 : OVERLAP_BYTES;
    const part = bytes.toString("latin1", start - overlap, start + PART_BYTES);
    const inPart = countSensitive(part);
    const again = overlap === 0 ? noSensitiveData() : countSensitive(part.slice(0, overlap));
    for (const kind of sensitiveKinds) counts[kind] += Math.max(0, inPart[kind] - again[kind]);
  }
  return counts;
}
