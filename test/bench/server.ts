/**
 * A PostgreSQL of its own for a bench, with durable settings as in production.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "../../native/embedded-postgres.ts";

export interface BenchServer extends AsyncDisposable {
  /** Database for what is measured. */
  readonly url: string;
  readonly database: string;
  /** Another database of the same server, for looking at it. */
  readonly adminUrl: string;
}

export async function startBenchServer(): Promise<BenchServer> {
  const dataDir = await mkdtemp(join(tmpdir(), "spectra-bench-pg-"));
  const server = await startEmbeddedPostgres({ dataDir, listen: "loopback" });
  if (server.target.type !== "url") throw new Error("The bench server does not listen on loopback");
  const url = new URL(server.target.url);
  const database = url.pathname.slice(1);
  const admin = new URL(url);
  admin.pathname = "/postgres";
  return {
    url: url.href,
    database,
    adminUrl: admin.href,
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
