/**
 * The conformance list of Deno's workers: real Deno proves the expectations, ours have to meet them.
 * A row may differ only where `divergences.mjs` says so, and must differ there.
 *
 * @module
 */

import { beforeAll, describe, expect, test } from "vitest";
import { ensureBuilt } from "../../../support/build.ts";
import { nodeBinary, nodeMajors } from "../../../support/nodes.ts";
import { cases } from "./cases/index.mjs";
import { divergencesOf } from "./divergences.mjs";
import { runSuite } from "./run-suite.mjs";

const suiteLimitMs = 900_000;
const [ownMajor = "", ...newerMajors] = nodeMajors;
const allRows = cases.map(([row]) => row);
/** All rows run here, the current LTS, beside the machine's own Node. */
const wholeMajor = "24";
/** What depends on the version of Node: hooks for modules, permissions, the end of a thread. */
const versionRows = [47, 73, 74, 90, 96, 97, 98, 99, 101];

const runners = [
  { name: "real-deno", major: "0", target: { runtime: "deno" }, rows: allRows },
  ...(["thread", "process", "deno"] as const).map((isolation) => ({
    name: isolation,
    major: ownMajor,
    target: { runtime: "node", isolation } as const,
    rows: allRows,
  })),
  ...newerMajors.map((major) => ({
    name: "thread" as const,
    major,
    target: { runtime: "node", isolation: "thread" } as const,
    rows: major === wholeMajor ? allRows : versionRows,
  })),
] as const;

beforeAll(ensureBuilt, suiteLimitMs);

describe.each(runners)("$name on Node $major", ({ name, major, target, rows }) => {
  const excused = divergencesOf(name, Number(major));
  let results: Awaited<ReturnType<typeof runSuite>>;

  beforeAll(async () => {
    const place = target.runtime === "node" ? { ...target, node: nodeBinary(major) } : target;
    results = await runSuite(place, rows, [...excused.keys()]);
  }, suiteLimitMs);

  const titled = cases.filter(([row]) => rows.includes(row));
  test.each(titled.map(([row, title]) => [row, title] as const))("%i: %s", (row) => {
    const result = results.get(row);
    const seen = { passed: result?.passed, why: result?.why };
    const reason = excused.get(row);
    if (reason === undefined) expect(seen).toEqual({ passed: true, why: undefined });
    else expect(seen.passed, `it is on the list of divergences: ${reason}`).toBe(false);
  });
});
