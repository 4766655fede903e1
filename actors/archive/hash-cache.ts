/**
 * Answers quickly which message had a given body first: a table of hashes and a bloom filter before it.
 * A cache: everything in it can be made again from the archive.
 *
 * @module
 */

export interface HashEntry {
  /** SHA-256 in hex. */
  readonly hash: string;
  /** Message id as a decimal string, below 2^53. */
  readonly id: string;
}

export interface HashCache {
  readonly kind: "redis" | "postgres";
  /** Records each entry unless a smaller id is known for the hash; returns the smallest id by hash. */
  claim(entries: readonly HashEntry[]): Promise<Map<string, string>>;
  /** Smallest known id by hash; unknown hashes are not in the map. */
  lookUp(hashes: readonly string[]): Promise<Map<string, string>>;
  count(): Promise<number>;
  saveFilter(bytes: Uint8Array): Promise<void>;
  /** Undefined when none was saved. */
  loadFilter(): Promise<Buffer | undefined>;
  /** Forgets hashes and filter of this namespace. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** Entries of one round trip; larger calls are split. */
export const entriesPerCall = 1_000;

/** Splits into runs of `entriesPerCall`. */
export function* inCalls<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += entriesPerCall)
    yield items.slice(at, at + entriesPerCall);
}
