/**
 * A thread may end at any moment, and its process lives on: V8 of newer Nodes aborts when a thread
 * is interrupted at the wrong one.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { ensureBuilt } from "../../../support/build.ts";
import { nodeMajors, runNode } from "../../../support/nodes.ts";

const program = fileURLToPath(new URL("./programs/ends.mjs", import.meta.url));
const dist = fileURLToPath(new URL("../../../../dist", import.meta.url));
const timeoutMs = 300_000;
const rounds = 60;

beforeAll(ensureBuilt, timeoutMs);

test.each(nodeMajors)(
  "threads that are ended at random moments leave Node %s alive",
  async (major) => {
    const { code, stdout, stderr } = await runNode(major, [program, dist, String(rounds)]);
    expect({ code, stdout, stderr: code === 0 ? "" : stderr }).toEqual({
      code: 0,
      stdout: `${JSON.stringify({ ended: rounds })}\n`,
      stderr: "",
    });
  },
  timeoutMs,
);
