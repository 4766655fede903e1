/**
 * Carries a worker in a Node process of its own, under Node's permission model.
 *
 * The worker is a thread of that process. Thread and process have the same flags, but that the
 * process may start threads; no code of the worker runs outside of the thread.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { claimedPermissions } from "../../../../machines/claimed-permissions.ts";
import { isWithin } from "../../../../machines/permission-item.ts";
import { type PermissionSet, permits } from "../../../../machines/permissions.ts";
import { codeRootsOf, processExecArgv, threadExecArgv } from "../../permissions/exec-argv.ts";
import { compiledUrl } from "../../thread-url.ts";
import type { OpenCarrier } from "../carrier.ts";
import { type PreparedThread, prepareThread, type ThreadWish } from "../prepare-thread.ts";
import { openHost } from "./host-carrier.ts";
import { emptyFolder } from "./own-folders.ts";

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
const entry = fileURLToPath(compiledUrl(new URL(`./process-host.${extension}`, import.meta.url)));

/** The process's own loop needs this much beside what the worker may use. */
const relayHeapMb = 64;

export const openProcess: OpenCarrier = (options, listener) => {
  const { permissions, url, env, heapLimitMb } = options;
  const codeRoots = codeRootsOf(url, permissions);
  const program = {
    isolation: "process",
    program: process.execPath,
    args: [...modelFlags(permissions, codeRoots), ...heapFlag(heapLimitMb), entry],
    env,
    cwd: emptyFolder(),
    prepare: (wish: ThreadWish) => prepareWithin(permissions, codeRoots, wish),
  } as const;
  const execArgv = threadExecArgv(permissions, codeRoots);
  return openHost(program, { ...options, execArgv, code: codeRoots }, listener);
};

/** The process's own loop tells whose wish it is; whatever it tells, no thread gets more than the process. */
function prepareWithin(
  holder: PermissionSet,
  codeRoots: readonly string[],
  { root, permissions, maker }: ThreadWish,
): Promise<PreparedThread> {
  const makerSet = claimedPermissions(holder, maker.permissions);
  return prepareThread({
    root,
    permissions: claimedPermissions(makerSet, permissions),
    maker: {
      permissions: makerSet,
      code: maker.code.filter(
        (path) => codeRoots.some((own) => isWithin(own, path)) || permits(holder, "read", path),
      ),
    },
  });
}

function modelFlags(permissions: PermissionSet, codeRoots: readonly string[]): readonly string[] {
  const flags = processExecArgv(permissions, codeRoots);
  // Node 20 warns that its model is experimental, and all versions of what we know about threads.
  return flags.length === 0 ? [] : [...flags, "--allow-worker", "--no-warnings"];
}

function heapFlag(heapLimitMb: number | undefined): readonly string[] {
  return heapLimitMb === undefined ? [] : [`--max-old-space-size=${heapLimitMb + relayHeapMb}`];
}
