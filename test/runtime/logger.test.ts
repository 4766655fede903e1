/** @module Tests of the log: thresholds, lines for people, rotation. */

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { humanLine, openLogger } from "../../runtime/logger.ts";
import type { LogLevel } from "../../runtime/settings.ts";

let dataDir: string;
let lines: string[];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "spectra-log-"));
  lines = [];
});
afterEach(() => rmSync(dataDir, { recursive: true }));

function open(level: LogLevel, maxBytes?: number) {
  const writeLine = (line: string) => void lines.push(line);
  return openLogger({
    dataDir,
    level,
    writeLine,
    colour: false,
    ...(maxBytes === undefined ? {} : { maxBytes }),
  });
}

describe("openLogger()", () => {
  test("writes info and up to the file as JSON, and the threshold and up to people", () => {
    const log = open("warn");
    log.debug("quiet");
    log.info("agent started", { agent: "DIRECTOR" });
    log.warn("agent slow", { ms: 12 });
    log.close();
    const records = readFileSync(log.file, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(records.map(({ msg, agent }) => [msg, agent])).toEqual([
      ["agent started", "DIRECTOR"],
      ["agent slow", undefined],
    ]);
    expect(lines.map((line) => line.slice(9))).toEqual(["warn  agent slow ms=12"]);
  });

  test("keeps three older files of bounded size", () => {
    const log = open("error", 1_000);
    for (let index = 0; index < 100; index++)
      log.info(`line ${index}`, { filler: "x".repeat(100) });
    log.close();
    const sizes = ["", ".1", ".2", ".3"].map((suffix) => statSync(log.file + suffix).size);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1_000);
    expect(existsSync(`${log.file}.4`)).toBe(false);
    expect(readFileSync(log.file, "utf8")).toContain("line 99");
    expect(log.lost()).toBe(0);
  });
});

describe("humanLine()", () => {
  test("is one line, with quoted texts and without stacks", () => {
    const at = new Date(2026, 0, 2, 3, 4, 5);
    const fields = { error: new Error("no\nluck"), count: 3 };
    expect(humanLine("error", "Cannot\n  go on", fields, at, false)).toBe(
      '03:04:05 error Cannot go on error="no\\nluck" count=3',
    );
  });
});
