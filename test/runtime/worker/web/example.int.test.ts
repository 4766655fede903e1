/**
 * The example in `docs/isolation.md`, as it stands there, over the package's own export.
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
import { ensureBuilt } from "../../../support/build.ts";

const timeoutMs = 120_000;
const root = fileURLToPath(new URL("../../../../", import.meta.url));
const page = readFileSync(join(root, "docs", "isolation.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "spectra-example-"));
const run = promisify(execFile);

beforeAll(async () => {
  await ensureBuilt();
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules", "spectra-orchestrator"));
  // Each file begins with a remark that names it.
  for (const [, text = "", name = ""] of page.matchAll(/```js\n(\/\/ (\S+\.mjs)\n[^]*?)```/g)) {
    writeFileSync(join(folder, name), text);
  }
}, timeoutMs);

afterAll(() => rmSync(folder, { recursive: true }));

test.each(["thread", "process", "deno"])(
  "the example prints what the page says, in a %s",
  async (isolation) => {
    const printed = /```text\n([^]*?)```/.exec(page)?.[1];
    const env = { ...process.env, GREETING: "Hello" };
    const args = ["--no-warnings", "greet.mjs", isolation];
    const { stdout, stderr } = await run(process.execPath, args, { cwd: folder, env });
    expect({ stdout, stderr }).toEqual({ stdout: printed, stderr: "" });
  },
  timeoutMs,
);
