/**
 * One real PostgreSQL for a whole test run: ours, in a temporary folder, unless
 * SPECTRA_TEST_DATABASE_URL already names a server whose user may create databases.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "../../native/embedded-postgres.ts";

const VARIABLE = "SPECTRA_TEST_DATABASE_URL";

export default async function startTestDatabase(): Promise<(() => Promise<void>) | undefined> {
  if (process.env[VARIABLE] !== undefined) return undefined;
  const dataDir = await mkdtemp(join(tmpdir(), "spectra-test-"));
  const server = await startEmbeddedPostgres({
    dataDir,
    // Tests pass on one URL, and a URL cannot name a unix socket for postgres.js.
    listen: "loopback",
    settings: { max_connections: "200", fsync: "off" },
  });
  if (server.target.type !== "url") throw new Error("Cannot test: the server has no URL");
  process.env[VARIABLE] = server.target.url;
  return async () => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
}
