/**
 * The filter forgets nothing and errs as often as it should.
 *
 * @module
 */

import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createBloomFilter,
  expectedFalsePositiveRate,
  readBloomFilter,
} from "../../../actors/archive/bloom-filter.ts";

const hashOf = (value: unknown): string => createHash("sha256").update(String(value)).digest("hex");

describe("createBloomFilter()", () => {
  it("has every member, also after a round trip through bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 300 }), (members) => {
        const filter = createBloomFilter(100, 0.05);
        for (const member of members) filter.add(hashOf(member));
        const read = readBloomFilter(filter.toBytes());
        for (const member of members) {
          expect(filter.has(hashOf(member))).toBe(true);
          expect(read?.has(hashOf(member))).toBe(true);
        }
      }),
    );
  });

  it.each([0.1, 0.01, 0.001])("errs at the rate %d when it is full", (rate) => {
    const filter = createBloomFilter(1_000, rate);
    for (let member = 0; member < 1_000; member += 1) filter.add(hashOf(`member ${member}`));
    let errors = 0;
    const probes = 20_000;
    for (let probe = 0; probe < probes; probe += 1) if (filter.has(hashOf(probe))) errors += 1;
    const expected = expectedFalsePositiveRate(filter.bits, filter.hashes, 1_000);
    expect(expected).toBeLessThan(rate * 1.1);
    const deviation = Math.sqrt((expected * (1 - expected)) / probes);
    expect(Math.abs(errors / probes - expected)).toBeLessThan(6 * deviation);
  });

  it("refuses bytes that are no filter", () => {
    const bytes = createBloomFilter(10, 0.01).toBytes();
    expect(readBloomFilter(bytes.subarray(0, bytes.length - 1))).toBeUndefined();
    expect(readBloomFilter(Buffer.alloc(64))).toBeUndefined();
    expect(readBloomFilter(Buffer.alloc(0))).toBeUndefined();
  });
});
