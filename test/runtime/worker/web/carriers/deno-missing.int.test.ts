import { execFile } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { bundle } from "../../../../support/child.ts";

test("without Deno, opening a worker in it is refused with what to do", async () => {
  // Outside of the checkout no package is found, and there is nothing on the PATH.
  const program = await bundle(
    "support/deno-missing.ts",
    mkdtempSync(join(tmpdir(), "deno-missing-")),
  );
  const { stdout } = await promisify(execFile)(process.execPath, [program], {
    env: { PATH: "/nonexistent" },
  });
  expect(JSON.parse(stdout)).toEqual({
    code: "ISOLATION_UNAVAILABLE",
    message: expect.stringMatching(/^Cannot run "lonely" in Deno: .*npm install deno/),
  });
});
