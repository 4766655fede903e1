/**
 * A process that takes the lock of the folder it is given, says how that went, and holds on.
 *
 * @module
 */

import { acquireDataDirLock } from "../../../native/data-dir-lock.ts";

const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
const [dataDir = "", startAtMs = "0"] = process.argv.slice(2);
// All racers begin at the same instant, whenever their processes came up.
while (Date.now() < Number(startAtMs));
try {
  const lock = await acquireDataDirLock(dataDir, { version: "test" });
  await lock.update({ url: "http://127.0.0.1:1" });
  say({ type: "acquired", pid: process.pid });
  process.stdin.on("data", () => {
    void lock.release().then(() => process.exit(0));
  });
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  say({ type: "refused", code, message });
}
