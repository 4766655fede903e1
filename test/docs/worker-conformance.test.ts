import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { cases } from "../runtime/worker/conformance/cases/index.mjs";
import { nodeMajors } from "../support/nodes.ts";

const page = readFileSync(resolve(import.meta.dirname, "../../docs/worker-conformance.md"), "utf8");
const header = page.split("\n").find((line) => line.startsWith("| # | behaviour |")) ?? "";

test("docs/worker-conformance.md has a column for each Node that is tested, and both other tiers", () => {
  const titles = header.split("|").map((cell) => cell.trim());
  const missing = nodeMajors.filter(
    (major) => !titles.some((title) => title.startsWith(`thread, Node ${major}.`)),
  );
  expect(missing, "test/runtime/worker/conformance/write-table.mjs says how").toEqual([]);
  expect(titles).toEqual(expect.arrayContaining(["process", "deno tier"]));
});

test("and a row for each behaviour", () => {
  const rows = [...page.matchAll(/^\| (\d+) \| .+ \| [✓–] \|$/gm)].map(([, row]) => Number(row));
  expect(rows).toEqual(cases.map(([row]) => row));
});
