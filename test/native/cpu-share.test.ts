/** @module What a busy thread gets of a core, by what Linux tells. */

import { expect, test } from "vitest";
import { cpuShare, shareIn } from "../../native/cpu-share.ts";

test.each([
  ["0.42 0.30 0.21 1/412 8123", 2, 1],
  ["0.42 0.30 0.21 2/412 8123", 2, 1],
  ["9.10 8.00 7.21 8/412 8123", 2, 0.25],
  ["99.0 90.0 80.0 400/900 8123", 2, 0.1],
  ["nothing that we know", 2, 1],
])("%s on %i cores: %f", (loadavg, cores, share) => {
  expect(shareIn(loadavg, cores)).toBe(share);
});

test("this machine's is a share", () => {
  expect(cpuShare()).toBeGreaterThan(0);
  expect(cpuShare()).toBeLessThanOrEqual(1);
});
