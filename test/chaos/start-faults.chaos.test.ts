/** Everything that can be wrong before the first task: one clear line, exit code not 0, nothing left. */

import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureBuilt } from "../support/build.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { spawnSupervisor, startSupervisor } from "../support/supervisor.ts";

let folder: string;

beforeAll(async () => {
  await ensureBuilt();
  folder = await mkdtemp(join(tmpdir(), "spectra-faults-"));
}, 180_000);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Runs the command line to its end and compares its exit code and what it says. */
async function check(
  args: readonly string[],
  expected: { readonly code: number; readonly says: readonly (string | RegExp)[] },
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { exited, output } = spawnSupervisor(args, env);
  const code = await exited;
  for (const text of expected.says) expect(output()).toMatch(text);
  expect(code, output()).toBe(expected.code);
  // Clear for people: no stack trace.
  expect(output()).not.toMatch(/^\s+at .*:\d+:\d+/m);
}

const dataDir = (name: string): string => join(folder, name);

describe("supervisor refuses to start", () => {
  test("on a port that is taken, before anything else is started", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const dir = dataDir("port");
    await check(["--port", String(port), "--data-dir", dir], {
      code: 1,
      says: [`Cannot listen on 127.0.0.1:${port}`, /--port/],
    });
    expect(await readdir(dir).catch(() => [])).not.toContain("postgres");
    server.close();
  });

  test("on a data folder that cannot be written", async () => {
    const file = join(folder, "a-file");
    await writeFile(file, "");
    await check(["--port", "0", "--data-dir", join(file, "below")], {
      code: 1,
      says: [/Cannot .*below/, /--data-dir/],
    });
  });

  test("on a data folder that cannot exist", async () => {
    await check(["--port", "0", "--data-dir", "/proc/spectra/below"], {
      code: 1,
      says: [/Cannot .*\/proc\/spectra/, /--data-dir/],
    });
  });

  test("on a data folder that another supervisor has, and names it", async () => {
    const dir = dataDir("shared");
    const first = await startSupervisor(["--data-dir", dir]);
    await check(["--port", "0", "--data-dir", dir], {
      code: 1,
      says: [/Cannot use the data folder/, String(first.pid), /--data-dir/],
    });
    first.kill("SIGTERM");
    expect(await first.exited).toBe(143);
  });

  test("on hosts that are not loopback, unknown flags, keys, values and phases", async () => {
    const dir = ["--data-dir", dataDir("usage")];
    await check(["--host", "0.0.0.0", ...dir], {
      code: 2,
      says: ["0.0.0.0", /loopback|127\.0\.0\.1/],
    });
    await check(["--phsae", "1", ...dir], { code: 2, says: ["--phsae", "--phase"] });
    await check(["--phase", "2", ...dir], {
      code: 2,
      says: [/[Nn]ot available yet|not available yet/],
    });
    await check(["--archive", "ftp:there", ...dir], { code: 2, says: [/sqlite:/] });
    const config = join(folder, "config.json");
    await writeFile(config, '{ "dashboard": { "prot": 1, "port": "high" } }');
    await check(["--config", config, ...dir], {
      code: 2,
      says: ["dashboard.prot", "dashboard.port", "config.json"],
    });
    await writeFile(config, "{ not json");
    await check(["--config", config, ...dir], { code: 2, says: [/line 1/] });
    await check(["--config", join(folder, "none.json"), ...dir], { code: 2, says: ["none.json"] });
  });

  test("on a database that does not answer, without showing its password", async () => {
    const url = "postgres://someone:hidden-secret@127.0.0.1:9/nowhere";
    const started = spawnSupervisor(["--port", "0", "--data-dir", dataDir("db")], {
      DATABASE_URL: url,
    });
    expect(await started.exited).toBe(1);
    expect(started.output()).toMatch(/Cannot use the database 127\.0\.0\.1:9\/nowhere/);
    expect(started.output()).not.toContain("hidden-secret");
  });

  test("on a Redis that does not answer", async () => {
    const database = await createTestDatabase();
    await check(
      ["--port", "0", "--data-dir", dataDir("redis")],
      {
        code: 1,
        says: [/Cannot reach Redis at redis:\/\/127\.0\.0\.1:9/, /REDIS_URL/],
      },
      { DATABASE_URL: database.url, REDIS_URL: "redis://127.0.0.1:9" },
    );
    await database.drop();
  });

  test("on an archive that is missing, empty, or not an archive", async () => {
    const dir = ["--port", "0", "--phase", "1", "--data-dir", dataDir("archive")];
    await check([...dir, "--archive", "sqlite:/no/such/file"], {
      code: 1,
      says: ["/no/such/file"],
    });
    const empty = join(folder, "empty.sqlite");
    await writeFile(empty, "");
    await check([...dir, "--archive", `sqlite:${empty}`], {
      code: 1,
      says: [/ARCHIVE_EMPTY|empty/],
    });
    const wrong = join(folder, "wrong.sqlite");
    await writeFile(
      wrong,
      "this is no database, only text that is long enough to be looked at".repeat(20),
    );
    await check([...dir, "--archive", `sqlite:${wrong}`], {
      code: 1,
      says: [/Cannot read ".*wrong\.sqlite" as a SQLite database/],
    });
  });
});
