/**
 * Carries a worker in a Node process of its own, under Node's permission model.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { compiledUrl } from "../../thread-url.ts";
import type { OpenCarrier } from "../carrier.ts";
import { emptyFolder } from "./empty-folder.ts";
import { openHost } from "./host-carrier.ts";
import { processFlags } from "./process-flags.ts";

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
const entry = fileURLToPath(compiledUrl(new URL(`./process-host.${extension}`, import.meta.url)));

/** The process's own loop needs this much beside what the worker may use. */
const relayHeapMb = 64;

export const openProcess: OpenCarrier = (options, listener) => {
  const { permissions, env, heapLimitMb, url } = options;
  return openHost(
    {
      isolation: "process",
      program: process.execPath,
      args: [
        ...processFlags(permissions, url),
        ...(heapLimitMb === undefined ? [] : [`--max-old-space-size=${heapLimitMb + relayHeapMb}`]),
        entry,
      ],
      env,
      cwd: emptyFolder(),
    },
    options,
    listener,
  );
};
