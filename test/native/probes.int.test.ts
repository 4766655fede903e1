/**
 * Facts about this very process, against what the test makes it do.
 *
 * @module
 */

import { tmpdir } from "node:os";
import { expect, it } from "vitest";
import { freeDiskBytes, openProcessProbe } from "../../native/probes.ts";

it("openProcessProbe() sees memory, a busy core and a blocked event loop", async () => {
  const probe = openProcessProbe();
  probe.read();
  // The monitor's first interval begins with the next turn.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const endMs = performance.now() + 200;
  while (performance.now() < endMs);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const facts = probe.read();
  probe.close();
  expect(facts.rssBytes).toBeGreaterThan(facts.heapUsedBytes);
  expect(facts.heapUsedBytes).toBeGreaterThan(1_000_000);
  expect(facts.cpuUtilisation).toBeGreaterThan(0);
  expect(facts.cpuUtilisation).toBeLessThanOrEqual(1);
  expect(facts.eventLoopLagMs.max).toBeGreaterThan(100);
  expect(facts.eventLoopLagMs.p50).toBeLessThanOrEqual(facts.eventLoopLagMs.max);
});

it("freeDiskBytes() tells the free space of the folder's disk, and fails where there is none", async () => {
  expect(await freeDiskBytes(tmpdir())).toBeGreaterThan(0);
  await expect(freeDiskBytes("/no/such/folder")).rejects.toMatchObject({ code: "ENOENT" });
});
