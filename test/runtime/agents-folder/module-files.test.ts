/** @module Tests of which files of a folder are modules. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listModules, listSources } from "../../../runtime/agents-folder/module-files.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "spectra-files-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function put(...names: string[]): void {
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), "");
  }
}

const namesOf = (paths: readonly string[]) => paths.map((path) => relative(folder, path)).sort();

describe("listModules", () => {
  test("takes the four extensions and the index of each folder", async () => {
    put("a.ts", "b.mts", "c.js", "d.mjs", "pack/index.ts", "pack/helper.ts", "empty/notes.md");
    expect(namesOf(await listModules(folder))).toEqual([
      "a.ts",
      "b.mts",
      "c.js",
      "d.mjs",
      "pack/index.ts",
    ]);
  });

  test("leaves out helpers, declarations, tests, packages and what editors leave behind", async () => {
    put("_lib.ts", "a.d.ts", "a.test.ts", "a.spec.js", "node_modules/index.js", "_x/index.ts");
    put(".a.ts.swp", ".#a.ts", "#a.ts#", "a.ts~", "4913", "a.ts.tmp", "a.json", "vite.config.ts");
    expect(await listModules(folder)).toEqual([]);
  });

  test("takes the source where its compiled twin lies beside it", async () => {
    put("a.js", "a.ts", "pack/index.mjs", "pack/index.ts");
    expect(namesOf(await listModules(folder))).toEqual(["a.ts", "pack/index.ts"]);
  });

  test("says that a folder is not there", async () => {
    await expect(listModules(join(folder, "none"))).rejects.toThrow("there is no such folder");
  });

  test("refuses a folder with too many modules", async () => {
    put(...Array.from({ length: 501 }, (_, index) => `m${index}.ts`));
    await expect(listModules(folder)).rejects.toThrow("at most 500");
  });
});

test("listSources finds helpers in all depths, but no packages", async () => {
  put("a.ts", "_lib/deep/x.ts", "data.json", "node_modules/p/index.js", ".git/x.js", "read.me");
  expect(namesOf(await listSources(folder))).toEqual(["_lib/deep/x.ts", "a.ts", "data.json"]);
});
