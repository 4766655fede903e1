import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(resolve(root, "docs/guarantees.md"), "utf8");
const promised = page.slice(page.indexOf("## What is promised"), page.indexOf("## What is not"));
const named = [...page.matchAll(/^- `(test\/[^`]+)`: (.+)$/gm)].map(([, path, title]) => ({
  path: path ?? "",
  title: title ?? "",
}));

describe("docs/guarantees.md", () => {
  test("names tests that exist, by path and title", () => {
    expect(named.length).toBeGreaterThan(20);
    const missing = named.filter(({ path, title }) => {
      const file = resolve(root, path);
      return !existsSync(file) || !readFileSync(file, "utf8").includes(`"${title}"`);
    });
    expect(missing).toEqual([]);
  });

  test("has a test behind each sentence that promises something", () => {
    const blocks = promised
      .trim()
      .split(/\n{2,}/)
      .filter((block) => !block.startsWith("#"));
    const sentences = blocks.filter((block) => !block.startsWith("- `"));
    const unproven = sentences.filter((sentence) => {
      const next = blocks[blocks.indexOf(sentence) + 1];
      return next === undefined || !next.startsWith("- `");
    });
    expect(unproven).toEqual([]);
    expect(sentences.length).toBeGreaterThan(8);
  });

  test("speaks of P1 to P8, each once and in order", () => {
    const promises = [...promised.matchAll(/^### (P\d)\./gm)].map(([, name]) => name);
    expect(promises).toEqual(["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8"]);
  });
});
