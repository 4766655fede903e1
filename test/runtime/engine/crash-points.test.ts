import { describe, expect, test } from "vitest";
import { loadConfig } from "../../../runtime/config.ts";
import {
  crashPoints,
  createCrashSwitch,
  parseCrashOrder,
} from "../../../runtime/engine/crash-points.ts";

describe("crash points", () => {
  test("have names of their own, with both sides of each effect", () => {
    expect(new Set(crashPoints).size).toBe(crashPoints.length);
    for (const point of crashPoints.filter((name) => name.endsWith(".before"))) {
      expect(crashPoints).toContain(point.replace(".before", ".after"));
    }
  });

  test("are ordered by name and number", () => {
    expect(parseCrashOrder("turn.commit.before")).toEqual({ point: "turn.commit.before", nth: 1 });
    expect(parseCrashOrder("job.acked:12")).toEqual({ point: "job.acked", nth: 12 });
    for (const wrong of ["", "turn.commit", "job.acked:0", "job.acked:x", "job.acked:1:1"]) {
      expect(parseCrashOrder(wrong), wrong).toBeUndefined();
    }
  });

  test("stand between nothing when no crash was ordered", () => {
    const repo = { read: async () => 1 };
    expect(createCrashSwitch(undefined).around(repo, { read: "mail.read" })).toBe(repo);
  });

  test("let effects through until theirs is reached, results and rejections included", async () => {
    const crash = createCrashSwitch({ point: "queue.add.after", nth: 3 });
    const target = {
      kind: "redis",
      add: async (count: number) => count + 1,
      close: () => Promise.reject(new Error("closed")),
    };
    const wrapped = crash.around(target, { kind: null, add: "queue.add", close: "run.claim" });
    expect(wrapped.kind).toBe("redis");
    expect([await wrapped.add(1), await wrapped.add(2)]).toEqual([2, 3]);
    await expect(wrapped.close()).rejects.toThrow("closed");
  });

  test("come from the environment, and a wrong one is refused before anything starts", () => {
    const config = (text: string) => loadConfig({ environment: { SPECTRA_CRASH_POINT: text } });
    expect(config("job.acked:2").crashOrder).toEqual({ point: "job.acked", nth: 2 });
    expect(config("").crashOrder).toBeUndefined();
    expect(() => config("job.aked")).toThrow(/SPECTRA_CRASH_POINT is "job.aked", must be a crash/);
  });
});
