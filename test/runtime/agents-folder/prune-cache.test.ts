import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keptUnused, pruneCache } from "../../../runtime/agents-folder/prune-cache.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "spectra-cache-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A compiled module that was written this many seconds ago. */
function compiled(ageS: number, suffix = ""): string {
  const name = `agent-${ageS.toString(16).padStart(16, "0")}.mjs${suffix}`;
  const path = join(folder, name);
  writeFileSync(path, "export {};");
  const at = Date.now() / 1_000 - ageS;
  utimesSync(path, at, at);
  return name;
}
const urlOf = (name: string): string => pathToFileURL(join(folder, name)).href;

test("the oldest that nobody uses go; what is in use stays, however old", async () => {
  const names = Array.from({ length: keptUnused + 10 }, (_, age) => compiled(age));
  const inUse = new Set(names.slice(-3).map(urlOf));
  expect(await pruneCache(folder, inUse)).toBe(7);
  expect(new Set(readdirSync(folder))).toEqual(
    new Set([...names.slice(0, keptUnused), ...names.slice(-3)]),
  );
  expect(await pruneCache(folder, inUse)).toBe(0);
});

test("unfinished files of a dead process count too, other files are nobody's business", async () => {
  for (let age = 0; age < keptUnused; age += 1) compiled(age);
  const unfinished = compiled(99, ".4711");
  writeFileSync(join(folder, "notes.mjs"), "");
  utimesSync(join(folder, "notes.mjs"), 1, 1);
  expect(await pruneCache(folder, new Set())).toBe(1);
  expect(readdirSync(folder)).not.toContain(unfinished);
  expect(readdirSync(folder)).toContain("notes.mjs");
});

test("a folder that is not there needs no cleaning", async () => {
  expect(await pruneCache(join(folder, "none"), new Set())).toBe(0);
});
