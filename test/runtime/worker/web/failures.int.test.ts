/**
 * Hundreds of workers fail in every way there is, and leave nothing behind.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { ensureBuilt } from "../../../support/build.ts";
import { nodeMajors, runNode } from "../../../support/nodes.ts";

const program = fileURLToPath(new URL("./programs/failures.mjs", import.meta.url));
const dist = fileURLToPath(new URL("../../../../dist", import.meta.url));
const timeoutMs = 300_000;
const failures = 200;
const ways = 16;

type Counts = Readonly<Record<string, number>>;

beforeAll(ensureBuilt, timeoutMs);

test.each([nodeMajors[0] ?? "", "24"])(
  "no thread, port, timer or listener is left of workers that failed, on Node %s",
  async (major) => {
    const args = ["--no-warnings", "--expose-gc", program, dist, String(failures)];
    const { code, stdout, stderr } = await runNode(major, args);
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    const { failed, before, after, ...told } = JSON.parse(stdout) as {
      readonly failed: number;
      readonly before: Counts;
      readonly after: Counts;
      readonly ways: number;
    };
    expect(told.ways).toBe(ways);
    expect(failed).toBeGreaterThan(failures);
    expect(after["threads"]).toBe(0);
    expect(after["ports"]).toBeGreaterThanOrEqual(0);
    const more = Object.keys(after).filter((kind) => (after[kind] ?? 0) > (before[kind] ?? 0));
    expect(more, JSON.stringify({ before, after })).toEqual([]);
  },
  timeoutMs,
);
