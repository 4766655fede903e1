import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startSupervisor } from "../support/supervisor.ts";

test("limits are shown as configured, and slots of all nodes with who holds them", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "spectra-limits-"));
  const file = join(dataDir, "config.json");
  const agents = { DIRECTOR: { limit: 2, rate: { limit: 5, perMs: 1_000 } } };
  const orchestration = { resource_limits: { cpu_cores: 3 } };
  await writeFile(file, JSON.stringify({ limits: { agents }, orchestration }));
  const supervisor = await startSupervisor(["--data-dir", dataDir, "--config", file]);
  try {
    expect(await supervisor.get("/limits")).toEqual({
      global: {},
      agents,
      keys: {},
      tenants: {},
      ageingMs: 60_000,
      node: { cpu: 3, memoryMb: null },
    });
    expect(await supervisor.get("/slots?pool=agent/DIRECTOR")).toEqual({ items: [] });
  } finally {
    supervisor.kill("SIGTERM");
    await supervisor.exited;
    await rm(dataDir, { recursive: true, force: true });
  }
}, 180_000);
