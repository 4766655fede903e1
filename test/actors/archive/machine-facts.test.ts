/**
 * What is read from the texts of the system.
 *
 * @module
 */

import { describe, expect, it } from "vitest";
import { recommend } from "../../../actors/agents/hardware-intel/analyze-compression-optimization.ts";
import {
  parseAvailableMemory,
  parseCacheSize,
  parseCpuFlags,
} from "../../../actors/archive/machine-facts.ts";
import { percentile } from "../../../actors/archive/percentile.ts";
import { parseRedisInfo } from "../../../actors/archive/redis-facts.ts";

describe("parseCpuFlags()", () => {
  it("reads x86 flags", () => {
    const flags = parseCpuFlags(
      "model name\t: X\nflags\t\t: fpu sse4_2 avx avx2 avx512vl avx512f aes\n",
    );
    expect(flags).toEqual({
      sse42: true,
      avx: true,
      avx2: true,
      avx512: ["avx512f", "avx512vl"],
      aes: true,
      neon: false,
    });
  });

  it("reads ARM features, and is null without either line", () => {
    expect(parseCpuFlags("Features\t: fp asimd aes\n")).toMatchObject({ neon: true, avx2: false });
    expect(parseCpuFlags("processor : 0\n")).toBeNull();
  });
});

describe("parsers of sizes", () => {
  it("read cache sizes, memory and INFO", () => {
    expect(["32K", "1M\n", "64", "x"].map(parseCacheSize)).toEqual([
      32_768,
      1_048_576,
      64,
      undefined,
    ]);
    expect(parseAvailableMemory("MemTotal: 9 kB\nMemAvailable:  1024 kB\n")).toBe(1_048_576);
    expect(parseAvailableMemory("")).toBeNull();
    expect(parseRedisInfo("# Server\r\nredis_version:7.0.1\r\n").get("redis_version")).toBe(
      "7.0.1",
    );
  });

  it("take percentiles by nearest rank", () => {
    expect([0, 0.5, 0.95, 1].map((share) => percentile([4, 1, 3, 2], share))).toEqual([1, 2, 4, 4]);
    expect(percentile([], 0.5)).toBe(0);
  });
});

describe("recommend()", () => {
  const machine = {
    cores: 8,
    memoryBytes: 32e9,
    memoryAvailableBytes: 16e9,
    memoryLimitBytes: null,
    flags: null,
  };

  it("leaves a core and obeys the memory limit of the container", () => {
    expect(recommend(machine, 1, 50).codecThreads).toBe(7);
    expect(recommend({ ...machine, cores: 1 }, 1, 50).codecThreads).toBe(1);
    expect(recommend({ ...machine, memoryLimitBytes: 1e9 }, 1, 50).codecThreads).toBe(1);
  });

  it("takes larger batches where fsync is slow, within bounds", () => {
    expect(recommend(machine, 0.01, 10).batchBytes).toBe(256 * 1024);
    expect(recommend(machine, 5, 10).batchBytes).toBe(1_000_000);
    expect(recommend(machine, 500, 50).batchBytes).toBe(8 * 1024 * 1024);
  });
});
