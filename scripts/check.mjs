/**
 * `npm run check`: all that needs no server, in under a minute.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { checks, runTool } from "./checks.mjs";

const failed = [];
for (const { name, command, when } of checks) {
  if (when !== undefined && !existsSync(when)) continue;
  console.log(`— ${name}`);
  if (!runTool(command)) failed.push(name);
}
console.log("— unit tests");
if (!runTool(["vitest", "run", "--project", "unit", "--reporter=default"]))
  failed.push("unit tests");
console.log(failed.length === 0 ? "All checks passed" : `Failed: ${failed.join(", ")}`);
process.exitCode = failed.length === 0 ? 0 : 1;
