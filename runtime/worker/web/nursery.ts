/**
 * Starts workers for restricted threads, which may start none: with `--allow-worker` Node would let
 * them start any. Who has started a thread keeps a nursery for it, and decides by what that thread
 * holds; what the thread asks for is only a wish.
 *
 *     maker ── wish ──> nursery ── starts ──> worker
 *       └────────── messages, errors ──────────┘
 *
 * A nested worker never outlives its maker: the nursery ends it when the maker's thread is gone.
 *
 * @module
 */

import { MessageChannel, MessagePort } from "node:worker_threads";
import { claimedPermissions } from "../../../machines/claimed-permissions.ts";
import { AgentError } from "../../../machines/error-code.ts";
import { NotCapable, type PermissionSet, permits } from "../../../machines/permissions.ts";
import { isEverything } from "../permissions/enforcement.ts";
import type { CarrierOptions } from "./carrier.ts";
import { faultOf } from "./fault.ts";
import { meterBytes } from "./meter.ts";
import type { NestedFrame, NestedOrder, NurseryFrame, SpawnRequest } from "./nursery-protocol.ts";
import type { MakerRights, PrepareThread } from "./prepare-thread.ts";
import { startThread, type Thread } from "./thread.ts";

/** Workers that descend from one restricted worker, at any depth, and live at once. */
export const maximumNested = 64;
/** A worker that a worker of the node's own has made is of depth 2. */
export const maximumNestedDepth = 8;
/** Of the longest name and the longest URL, without the code in it. */
const maximumNameLength = 256;
const maximumRootLength = 64 * 1_048_576;

/** Counts a worker's descendants, and those that are about to start. */
export interface Family {
  live: number;
}

export const newFamily = (): Family => ({ live: 0 });

export interface Maker extends MakerRights, Pick<CarrierOptions, "heapLimitMb" | "print"> {
  readonly prepare: PrepareThread;
  readonly family: Family;
  readonly depth: number;
}

export interface Nursery {
  /** For the maker's thread. */
  readonly port: MessagePort;
  /** The maker's thread is gone. */
  close(): void;
}

export function openNursery(maker: Maker): Nursery {
  const { port1, port2 } = new MessageChannel();
  const nested = new Set<Nested>();
  let rights: MakerRights = { permissions: maker.permissions, code: maker.code };
  let open = true;
  port1.on("message", (frame: NurseryFrame) => {
    if (frame?.type === "narrowed") rights = narrowed(rights, frame.permissions);
    else if (frame?.type === "spawn") spawn(frame);
  });
  port1.on("messageerror", () => undefined);
  // The maker's thread keeps the process alive.
  port1.unref();
  const spawn = (request: SpawnRequest): void => {
    if (!(request.control instanceof MessagePort) || !(request.frames instanceof MessagePort)) {
      return;
    }
    const one = raise(maker, rights, request, () => nested.delete(one));
    nested.add(one);
  };
  return {
    port: port2,
    close: () => {
      if (!open) return;
      open = false;
      port1.close();
      for (const one of nested) one.orphan();
    },
  };
}

function narrowed(rights: MakerRights, claimed: unknown): MakerRights {
  try {
    return { ...rights, permissions: claimedPermissions(rights.permissions, claimed) };
  } catch (error) {
    // Nothing that it could give up: it keeps what it has.
    if (error instanceof NotCapable) return rights;
    throw error;
  }
}

interface Nested {
  orphan(): void;
}

/** One nested worker, from the wish to its end. */
function raise(
  maker: Maker,
  rights: MakerRights,
  request: SpawnRequest,
  forget: () => void,
): Nested {
  const { control, frames } = request;
  let thread: Thread | undefined;
  let over = false;
  maker.family.live += 1;
  const tell = (frame: NestedFrame): void => control.postMessage(frame);
  const end = (frame: NestedFrame): void => {
    if (over) return;
    over = true;
    maker.family.live -= 1;
    // Where no thread has taken it.
    if (thread === undefined) frames.close();
    tell(frame);
    control.close();
    forget();
  };
  const endSoon = (): void => {
    if (over) return;
    if (thread === undefined) end({ type: "ended", code: 1 });
    else thread.endSoon();
  };
  control.on("message", (order: NestedOrder) => {
    if (order?.type === "end") endSoon();
  });
  control.on("messageerror", () => undefined);
  control.on("close", endSoon);
  control.unref();
  const begin = async (): Promise<void> => {
    const wish = checkedWish(maker, rights, request);
    const { root, execArgv, code } = await maker.prepare(wish);
    if (over) return;
    thread = startNested(maker, { ...wish, execArgv, code }, request, tell, end);
    tell({ type: "started", id: thread.id });
    const { name, permissions } = wish;
    thread.load({
      type: "load",
      root,
      location: request.url,
      name,
      permissions,
      shared: request.shared === true,
    });
  };
  begin().catch((error: unknown) => {
    end({ type: "ended", code: 1, fault: faultOf(error, "load") });
  });
  return { orphan: endSoon };
}

interface Wish {
  readonly root: string;
  readonly name: string;
  readonly permissions: PermissionSet;
  readonly maker: MakerRights;
}

/** @throws {NotCapable} For more than the maker holds. @throws {AgentError} `WORKER_LIMIT`, `BAD_REQUEST`. */
function checkedWish({ family, depth }: Maker, rights: MakerRights, request: SpawnRequest): Wish {
  const { root, url, name, meter } = request;
  const isText = typeof root === "string" && typeof url === "string" && typeof name === "string";
  const isMeter = meter instanceof SharedArrayBuffer && meter.byteLength === meterBytes;
  if (!isText || !isMeter || root.length > maximumRootLength || !URL.canParse(url)) {
    throw new AgentError("BAD_REQUEST", "Cannot start a worker: the request is malformed");
  }
  if (family.live > maximumNested || depth >= maximumNestedDepth) {
    throw new AgentError(
      "WORKER_LIMIT",
      `Cannot start worker "${name}": restricted workers may have ${maximumNested} descendants, ${maximumNestedDepth} deep, end others first`,
    );
  }
  return {
    root,
    name: name.slice(0, maximumNameLength),
    permissions: claimedPermissions(rights.permissions, request.permissions),
    maker: rights,
  };
}

function startNested(
  maker: Maker,
  wish: Wish & { readonly execArgv: readonly string[]; readonly code: readonly string[] },
  request: SpawnRequest,
  tell: (frame: NestedFrame) => void,
  end: (frame: NestedFrame) => void,
): Thread {
  const { name, permissions, execArgv, code } = wish;
  const { prepare, family, depth } = maker;
  const print: CarrierOptions["print"] =
    request.prints === true
      ? (text, stream) => tell({ type: "printed", text, stream })
      : maker.print;
  const limits = {
    ...heapLimit(maker.heapLimitMb, request.heapLimitMb),
    ...(print === undefined ? {} : { print }),
  };
  const env = grantedEnv(request.env, permissions);
  const nursery = isEverything(permissions)
    ? undefined
    : openNursery({ permissions, code, prepare, family, depth: depth + 1, ...limits });
  const seed = { frames: request.frames, meter: request.meter };
  const thread = startThread(
    { name, permissions, env, execArgv, ...limits },
    nursery === undefined ? seed : { ...seed, nursery: nursery.port },
    (exitCode, fault) => {
      nursery?.close();
      end({ type: "ended", code: exitCode, ...(fault === undefined ? {} : { fault }) });
    },
  );
  // It ends with its maker, which keeps the process alive.
  thread.unref();
  return thread;
}

/** What it wishes, and at most what its maker has. */
function heapLimit(
  limit: number | undefined,
  wished: unknown,
): Pick<CarrierOptions, "heapLimitMb"> {
  const own = typeof wished === "number" && wished >= 1 ? wished : Infinity;
  const heapLimitMb = Math.min(limit ?? Infinity, own);
  return heapLimitMb === Infinity ? {} : { heapLimitMb };
}

/** Values that the maker tells are its own; names are judged here. */
function grantedEnv(env: unknown, permissions: PermissionSet): Record<string, string> {
  if (typeof env !== "object" || env === null) return {};
  const granted = Object.entries(env).filter(
    (entry): entry is [string, string] =>
      typeof entry[1] === "string" && entry[0] !== "" && permits(permissions, "env", entry[0]),
  );
  return Object.fromEntries(granted);
}
