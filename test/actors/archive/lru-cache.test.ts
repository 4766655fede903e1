/**
 * The cache keeps its bound and the entries used last.
 *
 * @module
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLruCache } from "../../../actors/archive/lru-cache.ts";

describe("createLruCache()", () => {
  it("never holds more than its bytes and never a wrong value", () => {
    const step = fc.record({ key: fc.nat(12), size: fc.nat(60), read: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const cache = createLruCache<number, { size: number }>({
          maxBytes: 100,
          sizeOf: ({ size }) => size,
        });
        const last = new Map<number, { size: number }>();
        for (const { key, size, read } of steps) {
          if (read) {
            const value = cache.get(key);
            if (value !== undefined) expect(value).toBe(last.get(key));
          } else {
            const value = { size };
            cache.set(key, value);
            last.set(key, value);
          }
          expect(cache.sizeBytes).toBeLessThanOrEqual(100);
        }
      }),
    );
  });

  it("drops what was not used for longest", () => {
    const cache = createLruCache<string, string>({ maxBytes: 3, sizeOf: (text) => text.length });
    for (const key of ["a", "b", "c"]) cache.set(key, key);
    cache.get("a");
    cache.set("d", "d");
    expect(["a", "b", "c", "d"].map((key) => cache.get(key))).toEqual(["a", undefined, "c", "d"]);
  });

  it("does not keep a value larger than itself", () => {
    const cache = createLruCache<string, string>({ maxBytes: 3, sizeOf: (text) => text.length });
    cache.set("a", "four");
    expect(cache.size).toBe(0);
  });
});
