/**
 * What a worker's process is told when it starts, and the descriptor that it is told on.
 *
 * @module
 */

import type { ErrorRecord } from "../../../../machines/error-code.ts";
import type { PermissionSet } from "../../../../machines/permissions.ts";
import type { PreparedThread, ThreadWish } from "../prepare-thread.ts";
import type { DenoPermissions } from "./deno-flags.ts";

/** The one channel: a socket pair. Nothing else of the parent's handles is inherited. */
export const channelFd = 3;

/** What only a Deno process needs. */
export interface DenoBoot {
  /** The option of the inner worker. */
  readonly permissions: DenoPermissions;
  /** Begins messages that are the scope's and none of the worker's. */
  readonly token: string;
}

/** Payload of the boot frame. */
export interface HostBoot {
  readonly url: string;
  /** What is imported instead of `url`. */
  readonly root?: string;
  readonly name: string;
  readonly permissions: PermissionSet;
  readonly shared: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly heapLimitMb?: number;
  /** Only for Node: flags of the worker's thread. */
  readonly execArgv?: readonly string[];
  /** Only for Node: files and folders that its code is loaded from. */
  readonly code?: readonly string[];
  readonly deno?: DenoBoot;
}

/** A restricted process cannot find out by itself what a thread of it needs. */
export interface PrepareCall {
  /** Random, so that no code in the process can have prepared an answer. */
  readonly id: string;
  readonly wish: ThreadWish;
}

export type PrepareAnswer =
  | { readonly id: string; readonly thread: PreparedThread }
  | { readonly id: string; readonly error: ErrorRecord };

/**
 * Bytes of values that may be on their way to a worker whose loop has not turned since. What is
 * beyond waits in the parent.
 */
export const windowBytes = 64 * 1_048_576;

/** Bytes of values that may wait for a worker, or for its parent, before that counts as a failure. */
export const maximumBacklogBytes = 256 * 1_048_576;
