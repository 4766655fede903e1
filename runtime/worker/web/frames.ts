/**
 * What crosses between a carrier and the scope in the worker, and the worker's end of that way.
 * All of it can be cloned, and is plain JSON but for `message` (and permissions, which are JSON too).
 *
 * @module
 */

import type { MessagePort, Transferable } from "node:worker_threads";
import type { PermissionSet } from "../../../machines/permissions.ts";
import type { LoopFigures, WorkerFault } from "./carrier.ts";

/** First, from who started the thread, who need not be its maker. */
export interface LoadFrame {
  readonly type: "load";
  /** What to import. */
  readonly root: string;
  /** `self.location`. */
  readonly location: string;
  readonly name: string;
  readonly permissions: PermissionSet;
  /** They are those of its maker, who loses what the worker gives up. */
  readonly shared: boolean;
}

/** From maker to worker. */
export type ParentFrame =
  /** End now. */
  { readonly type: "exit" } | MessageFrame;

/** From worker to maker. `figures` only where there is no shared memory. */
export type ScopeFrame =
  | MessageFrame
  | { readonly type: "fault"; readonly fault: WorkerFault }
  | { readonly type: "narrowed"; readonly permissions: PermissionSet }
  | { readonly type: "figures"; readonly figures: LoopFigures };

export interface MessageFrame {
  readonly type: "message";
  readonly data: unknown;
  /** Those of the transferred objects that are ports. */
  readonly ports?: readonly MessagePort[];
}

/** The worker's end. */
export interface ScopeEndpoint {
  /** Where a restricted worker asks its maker, see `../permissions/broker-protocol.ts`. */
  readonly broker?: MessagePort;
  /** @throws {DOMException} `DataCloneError`, at once. */
  send(frame: ScopeFrame, transfer?: readonly Transferable[]): void;
  /** Called once. */
  onLoad(load: (frame: LoadFrame) => void): void;
  /** Called once; keeps the worker alive from then on. `onError`: a frame that cannot be deserialised. */
  listen(onFrame: (frame: ParentFrame) => void, onError: (error: unknown) => void): void;
  /** To who starts threads for this one, where it is restricted. */
  readonly nursery?: MessagePort;
  /** From now on the thread may be interrupted at any moment. */
  interruptible(): void;
  /** Ends the worker at once, when all that was sent is on its way. Nothing runs after it. */
  exit(code: number): never;
}
