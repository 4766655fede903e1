import { expect, test, vi } from "vitest";
import { heapLimitMb, limitsOf } from "../../../../runtime/worker/agent/limits.ts";
import { createSampler } from "../../../../runtime/worker/agent/sampler.ts";
import {
  agentModuleUrl,
  compiledUrl,
  threadEntryUrl,
} from "../../../../runtime/worker/thread-url.ts";

const root = new URL("../../../../", import.meta.url).href;

test("heapLimitMb() scales the budget with the machine, and leaves enough to work", () => {
  expect(heapLimitMb(4_096, 32_768)).toBe(4_096);
  expect(heapLimitMb(4_096, 8_192)).toBe(2_048);
  expect(heapLimitMb(256, 4_096)).toBe(256);
});

test("limitsOf() takes what an agent declares before what it would get", () => {
  const resources = { cpu: 1, memoryMb: 1_024 };
  expect(limitsOf({ resources }, undefined, 32_768)).toEqual({
    heapMb: 1_024,
    bufferMb: 1_024,
    unresponsiveMs: 30_000,
    graceMs: 3_000,
  });
  expect(limitsOf({ resources: { cpu: 1, memoryMb: 64 } }, 2_000, 32_768)).toMatchObject({
    bufferMb: 512,
    unresponsiveMs: 2_000,
  });
  const limits = { unresponsiveMs: 1_000, bufferMb: 64 };
  expect(limitsOf({ resources, limits }, 2_000, 32_768)).toMatchObject(limits);
});

test("compiledUrl() maps sources to dist and refuses TypeScript from elsewhere", () => {
  expect(compiledUrl(`${root}actors/agents/web/agent.ts`)).toBe(
    `${root}dist/actors/agents/web/agent.js`,
  );
  expect(compiledUrl("file:///elsewhere/agent.js")).toBe("file:///elsewhere/agent.js");
  expect(() => compiledUrl("file:///elsewhere/agent.ts")).toThrow(
    expect.objectContaining({ code: "MODULE_NOT_COMPILED" }),
  );
  expect(threadEntryUrl().href).toBe(`${root}dist/runtime/worker/agent/agent-worker.js`);
  expect(agentModuleUrl("HARDWARE-INTEL")).toBe(
    `${root}dist/actors/agents/hardware-intel/agent.js`,
  );
});

test("createSampler() emits the first at once, then the newest of each interval, and the last at the end", () => {
  vi.useFakeTimers();
  try {
    const seen: number[] = [];
    const sampler = createSampler<number>(100, (value) => seen.push(value));
    for (const value of [1, 2, 3]) sampler.push(value);
    expect(seen).toEqual([1]);
    vi.advanceTimersByTime(100);
    expect(seen).toEqual([1, 3]);
    sampler.push(4);
    sampler.end();
    sampler.push(5);
    vi.advanceTimersByTime(1_000);
    expect(seen).toEqual([1, 3, 4]);
  } finally {
    vi.useRealTimers();
  }
});
