import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "vitest";
import { watchFiles } from "../../../runtime/agents-folder/watch-files.ts";
import { soon } from "../../support/soon.ts";

test("a change is seen soon after one that took long to take over", async () => {
  const folder = mkdtempSync(join(tmpdir(), "spectra-watch-"));
  const file = join(folder, "a.ts");
  writeFileSync(file, "1");
  let taken = 0;
  // With a pause of ten times this, the next look would come after the time limit below.
  const takeOverMs = 4_000;
  const watch = watchFiles({
    folders: [folder],
    others: () => [],
    lookEveryMs: 10,
    onChange: async () => {
      await wait(takeOverMs);
      taken += 1;
    },
  });
  await soon(() => taken, 30_000).toBe(1);
  writeFileSync(file, "22");
  await soon(() => taken, 30_000).toBe(2);
  await watch.stop();
  rmSync(folder, { recursive: true });
  expect(taken).toBe(2);
}, 90_000);
