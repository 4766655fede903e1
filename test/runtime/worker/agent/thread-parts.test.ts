import { expect, test, vi } from "vitest";
import {
  enforcement,
  grantedEnv,
  heapLimitMb,
} from "../../../../runtime/worker/agent/permissions.ts";
import { createSampler } from "../../../../runtime/worker/agent/sampler.ts";
import {
  agentModuleUrl,
  compiledUrl,
  threadEntryUrl,
} from "../../../../runtime/worker/thread-url.ts";

const root = new URL("../../../", import.meta.url).href;

test("grantedEnv() gives what the grant names, and nothing without one", () => {
  const env = { A: "1", B: "2", C: undefined };
  expect(grantedEnv(undefined, env)).toEqual({});
  expect(grantedEnv(false, env)).toEqual({});
  expect(grantedEnv(["A", "C", "D"], env)).toEqual({ A: "1" });
  expect(grantedEnv(true, env)).toEqual({ A: "1", B: "2" });
  expect(grantedEnv("inherit", env)).toEqual({ A: "1", B: "2" });
});

test("enforcement() claims nothing that a thread on Node 20 cannot hold", () => {
  const { env, ...others } = enforcement();
  expect(env).toBe("soft");
  expect(new Set(Object.values(others))).toEqual(new Set(["none"]));
});

test("heapLimitMb() scales the budget with the machine, and leaves enough to work", () => {
  expect(heapLimitMb(4_096, 32_768)).toBe(4_096);
  expect(heapLimitMb(4_096, 8_192)).toBe(2_048);
  expect(heapLimitMb(256, 4_096)).toBe(256);
});

test("compiledUrl() maps sources to dist and refuses TypeScript from elsewhere", () => {
  expect(compiledUrl(`${root}actors/agents/web/agent.ts`)).toBe(
    `${root}dist/actors/agents/web/agent.js`,
  );
  expect(compiledUrl("file:///elsewhere/agent.js")).toBe("file:///elsewhere/agent.js");
  expect(() => compiledUrl("file:///elsewhere/agent.ts")).toThrow(
    expect.objectContaining({ code: "MODULE_NOT_COMPILED" }),
  );
  expect(threadEntryUrl().href).toBe(`${root}dist/runtime/worker/agent/agent-thread.js`);
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
