/**
 * `spectra-orchestrator/testing` as a user's test imports it: the code of `docs/testing.md`, checked against the
 * package's types and run by Node's own test runner.
 *
 * @module
 */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ensureBuilt } from "../../support/build.ts";

const limitMs = 600_000;
const root = fileURLToPath(new URL("../../../", import.meta.url));
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const run = promisify(execFile);

let folder: string;

beforeAll(async () => {
  await ensureBuilt();
  folder = mkdtempSync(join(tmpdir(), "spectra-testing-"));
  mkdirSync(join(folder, "node_modules", "@types"), { recursive: true });
  symlinkSync(root, join(folder, "node_modules", "spectra-orchestrator"));
  symlinkSync(
    join(root, "node_modules", "@types", "node"),
    join(folder, "node_modules", "@types", "node"),
  );
  writeFileSync(join(folder, "package.json"), '{ "name": "app", "type": "module" }');
  const page = readFileSync(join(root, "docs", "testing.md"), "utf8");
  const blocks = [...page.matchAll(/^```ts\n\/\/ (\S+)\n([^]*?)^```$/gm)];
  expect(blocks.map(([, name]) => name)).toEqual(["album.test.ts"]);
  writeFileSync(join(folder, "album.test.ts"), blocks[0]?.[2] ?? "");
}, limitMs);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test(
  "the example of the page compiles and passes",
  async () => {
    const options = ["--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2023"];
    const compiled = await run(
      process.execPath,
      [tsc, ...options, "--types", "node", "album.test.ts"],
      { cwd: folder },
    ).catch((error: { readonly stdout: string }) => error);
    expect(compiled.stdout).toBe("");
    const environment = { ...process.env };
    // Node's runner would think that it is a child of another one.
    delete environment["NODE_TEST_CONTEXT"];
    const { stdout } = await run(
      process.execPath,
      ["--test", "--test-reporter=tap", "album.test.js"],
      { cwd: folder, env: environment },
    ).catch((error: { readonly stdout: string }) => error);
    expect(stdout).toMatch(/^# pass 4$/m);
    expect(stdout).toMatch(/^# fail 0$/m);
  },
  limitMs,
);
