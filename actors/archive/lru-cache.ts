/**
 * A cache bounded by the bytes that it holds; the entry that was not used for longest leaves first.
 *
 * @module
 */

export interface LruCache<K, V> {
  get(key: K): V | undefined;
  /** Replaces an entry of the same key. A value larger than the whole cache is not kept. */
  set(key: K, value: V): void;
  readonly size: number;
  readonly sizeBytes: number;
}

export function createLruCache<K, V>(options: {
  readonly maxBytes: number;
  readonly sizeOf: (value: V) => number;
}): LruCache<K, V> {
  // A Map keeps insertion order, so its first key is the one that was not used for longest.
  const entries = new Map<K, V>();
  let sizeBytes = 0;
  const remove = (key: K): void => {
    const value = entries.get(key);
    if (value === undefined) return;
    entries.delete(key);
    sizeBytes -= options.sizeOf(value);
  };
  return {
    get(key) {
      const value = entries.get(key);
      if (value === undefined) return undefined;
      entries.delete(key);
      entries.set(key, value);
      return value;
    },
    set(key, value) {
      remove(key);
      const valueBytes = options.sizeOf(value);
      if (valueBytes > options.maxBytes) return;
      entries.set(key, value);
      sizeBytes += valueBytes;
      for (const oldest of entries.keys()) {
        if (sizeBytes <= options.maxBytes) break;
        remove(oldest);
      }
    },
    get size() {
      return entries.size;
    },
    get sizeBytes() {
      return sizeBytes;
    },
  };
}
