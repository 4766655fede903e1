/**
 * A process that starts the embedded server on the folder it is given and stops it when told.
 *
 * @module
 */

import { createInterface } from "node:readline";
import { startEmbeddedPostgres } from "../../../native/embedded-postgres.ts";

const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
const [dataDir = ""] = process.argv.slice(2);
// Ctrl-C reaches the whole process group; what must survive it is the server.
process.on("SIGINT", () => say({ type: "interrupted" }));
try {
  const logged: string[] = [];
  const log = { info: (m: string) => logged.push(m), warn: (m: string) => logged.push(m) };
  const server = await startEmbeddedPostgres({ dataDir, log });
  const { target, pid, created, version } = server;
  say({ type: "ready", target, pid, created, version, logged });
  void server.exited.then((exit) => say({ type: "exited", ...exit }));
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "stop") {
      await server.stop();
      process.exit(0);
    }
  }
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  say({ type: "failed", code, message });
  process.exit(3);
}
