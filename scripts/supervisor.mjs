/**
 * `npm run supervisor`: builds first when a source is newer than the build, then is the supervisor.
 * One process, so that Ctrl-C and exit codes are the supervisor's own.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { build, canBuild, isStale } from "./build.mjs";

const main = new URL("../dist/runtime/main.js", import.meta.url);

if (canBuild() && isStale()) {
  console.error("Building, since sources are newer than the last build…");
  if (!build()) {
    console.error("Cannot start: the build failed, see above");
    process.exit(1);
  }
}
if (!existsSync(main)) {
  console.error("Cannot start: nothing is built; run npm ci");
  process.exit(1);
}
process.argv.splice(2, 0, "supervisor");
await import(main.href);
