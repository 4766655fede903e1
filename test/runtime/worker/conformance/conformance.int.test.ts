/**
 * The conformance list of Deno's workers: real Deno proves the expectations, ours have to meet them.
 * A row may differ only where `divergences.mjs` says so, and must differ there.
 *
 * @module
 */

import { beforeAll, describe, expect, test } from "vitest";
import { cases } from "./cases/index.mjs";
import { divergencesOf } from "./divergences.mjs";
import { runSuite } from "./run-suite.mjs";

const suiteLimitMs = 600_000;
const nodeMajor = Number(process.versions.node.split(".")[0]);

const runners = [
  { name: "real-deno", target: { runtime: "deno" } },
  { name: "thread", target: { runtime: "node", isolation: "thread" } },
  { name: "process", target: { runtime: "node", isolation: "process" } },
  { name: "deno", target: { runtime: "node", isolation: "deno" } },
] as const;

describe.each(runners)("$name", ({ name, target }) => {
  const excused = divergencesOf(name, nodeMajor);
  let results: Awaited<ReturnType<typeof runSuite>>;

  beforeAll(async () => {
    results = await runSuite(target);
  }, suiteLimitMs);

  test.each(cases.map(([row, title]) => [row, title] as const))("%i: %s", (row) => {
    const result = results.get(row);
    const seen = { passed: result?.passed, why: result?.why };
    const reason = excused.get(row);
    if (reason === undefined) expect(seen).toEqual({ passed: true, why: undefined });
    else expect(seen.passed, `it is on the list of divergences: ${reason}`).toBe(false);
  });
});
