/**
 * Gives a test run its PostgreSQL server: the one that `SPECTRA_TEST_DATABASE_URL` names,
 * or the embedded one in a folder of its own, ended with the run.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "../../native/embedded-postgres.ts";

const VARIABLE = "SPECTRA_TEST_DATABASE_URL";

/** Called once by vitest before any test file; the result is called after all. */
export default async function startTestServer(): Promise<(() => Promise<void>) | undefined> {
  if ((process.env[VARIABLE] ?? "") !== "") return undefined;
  const dataDir = mkdtempSync(join(tmpdir(), "spectra-tests-"));
  const server = await startEmbeddedPostgres({
    dataDir,
    listen: "loopback",
    // Two test files at a time, each with a database, a node and its agents.
    settings: { max_connections: "200" },
  });
  if (server.target.type !== "url") {
    throw new Error(
      "Cannot test against Postgres: the embedded server does not listen on loopback",
    );
  }
  process.env[VARIABLE] = server.target.url;
  return async () => {
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
}
