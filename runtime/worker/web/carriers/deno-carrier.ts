/**
 * Carries a worker in a real Deno: its own `Worker`, its own permissions, in a process of its own.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { AgentError } from "../../../../machines/error-code.ts";
import { compiledUrl } from "../../thread-url.ts";
import type { OpenCarrier } from "../carrier.ts";
import { denoFlags, workerPermissions } from "./deno-flags.ts";
import { findDeno } from "./find-deno.ts";
import { openHost } from "./host-carrier.ts";
import { emptyFolder, scratchFolder } from "./own-folders.ts";

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
const compiled = (name: string): string =>
  compiledUrl(new URL(`./${name}.${extension}`, import.meta.url));
const entry = fileURLToPath(compiled("deno-host"));

let roots = 0;

export const openDeno: OpenCarrier = (options, listener) => {
  const program = findDeno();
  if (program === undefined) {
    throw new AgentError(
      "ISOLATION_UNAVAILABLE",
      `Cannot run "${options.name || options.url}" in Deno: there is none on this machine, install it with "npm install deno", put it on the PATH, or choose the isolation "process"`,
    );
  }
  const { permissions, env, heapLimitMb, url } = options;
  const folder = scratchFolder();
  roots += 1;
  const rootFile = join(folder, `root-${roots}.mjs`);
  const token = randomUUID();
  const root = (options.root ?? Promise.resolve(url)).then((imported) => {
    writeFileSync(rootFile, rootModule(imported, url, token));
    return pathToFileURL(rootFile).href;
  });
  return openHost(
    {
      isolation: "deno",
      program,
      args: [...denoFlags(permissions, heapLimitMb), entry],
      env: { ...env, DENO_DIR: join(folder, "cache"), DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
      cwd: emptyFolder(),
      deno: { permissions: workerPermissions(permissions), token },
      onGone: () => rmSync(rootFile, { force: true }),
    },
    { ...options, root },
    listener,
  );
};

/** Static imports, which the worker may always load. The scope comes first, and knows what it needs by then. */
function rootModule(url: string, location: string, token: string): string {
  const scope = new URL(compiled("deno-scope"));
  scope.search = new URLSearchParams({ location, token }).toString();
  return `import ${JSON.stringify(scope.href)};\nimport ${JSON.stringify(url)};\n`;
}
