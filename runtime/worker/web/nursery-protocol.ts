/**
 * What a restricted thread asks of the nursery that starts threads for it, and what it is told.
 *
 * @module
 */

import type { MessagePort } from "node:worker_threads";
import type { PermissionSet } from "../../../machines/permissions.ts";
import type { WorkerFault } from "./carrier.ts";

/** To the nursery. Nothing in it is trusted: rights are those of the port that it comes by. */
export interface SpawnRequest {
  readonly type: "spawn";
  /** Of the new worker's life: `NestedFrame` back, `NestedOrder` to the nursery. Who holds it closes it with its end. */
  readonly control: MessagePort;
  /** Goes to the new thread. */
  readonly frames: MessagePort;
  readonly meter: SharedArrayBuffer;
  /** What `self.location` shows. */
  readonly url: string;
  /** What to import: as `url`, or the text of a blob as a `data:` URL. */
  readonly root: string;
  readonly name: string;
  readonly permissions: PermissionSet;
  readonly shared: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly heapLimitMb: number | undefined;
  /** The maker takes what the worker prints. */
  readonly prints: boolean;
}

export type NurseryFrame =
  | SpawnRequest
  /** What the thread has left of its own rights. */
  | { readonly type: "narrowed"; readonly permissions: PermissionSet };

export type NestedOrder = { readonly type: "end" };

export type NestedFrame =
  | { readonly type: "started"; readonly id: number }
  | { readonly type: "printed"; readonly text: string; readonly stream: "stdout" | "stderr" }
  | { readonly type: "ended"; readonly code: number; readonly fault?: WorkerFault };
