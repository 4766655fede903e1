/**
 * The durable actors of a node, under `/root/actors`: started and stopped at any time, addressed by name.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Actor, type AnyEventObject, createActor } from "xstate";
import type { RunningChild, TreeNode } from "../../../actors/tree/child-spec.ts";
import { parseAddress } from "../../../machines/address.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import { createDeferred } from "../../../machines/deferred.ts";
import {
  AgentError,
  type ErrorRecord,
  type Json,
  toErrorRecord,
} from "../../../machines/error-code.ts";
import { compiledUrl } from "../thread-url.ts";
import type { ActorHome } from "./actor-protocol.ts";
import type { ActorReference } from "./define-actor.ts";
import {
  encodeOrBury,
  handleOf,
  type RemoteActorLogic,
  type RemoteActorOptions,
  type RemoteSnapshot,
  remoteActor,
} from "./remote-actor.ts";
import type { RemoteSystem } from "./remote-handle.ts";

/** Actors of one node: each has a worker of its own. */
const maxActors = 1_000;

export const actorsPath = "/root/actors";

export interface StartActorOptions extends Partial<Omit<RemoteActorOptions, "address">> {
  /** Last part of the address. Default: the definition's name. */
  readonly id?: string;
  /** Of the machine, for its first start. */
  readonly input?: unknown;
}

/** How people and programs reach the durable actors of a node. */
export interface ActorHost {
  /**
   * Resolves with the address when the first incarnation runs, restored where it ran before.
   * @throws {AgentError} What it failed with; `NAME_TAKEN`, `TOO_MANY_ACTORS`.
   */
  start(definition: ActorReference, options?: StartActorOptions): Promise<string>;
  /**
   * Resolves when the event is in the actor's mailbox.
   * @throws {AgentError} `ADDRESS_UNKNOWN`, `INCARNATION_STALE`, `ACTOR_STOPPED`, `MAILBOX_FULL`, `NOT_STORABLE`.
   */
  send(
    address: string,
    event: AnyEventObject,
    options?: { readonly timeoutMs?: number },
  ): Promise<void>;
  /** Stores its state and ends its worker; `start` goes on from there. */
  stop(address: string): Promise<void>;
  list(): readonly RemoteSnapshot[];
  get(address: string): RemoteSnapshot | undefined;
}

export interface ActorService {
  readonly host: ActorHost;
  /** The supervisor `/root/actors`, for the node's tree. */
  readonly child: RunningChild;
  readonly system: RemoteSystem;
  /** Starts what this node ran before; what cannot be is told to the log, and `parked`. Never rejects. */
  resume(): Promise<void>;
  /** Sends a dead letter again and removes it; false when it is gone, or nobody would get it. */
  replay(id: number): Promise<boolean>;
  /** The XState actor that stands for it here. */
  actor(address: string): Actor<RemoteActorLogic> | undefined;
  /** Events that an actor has not dealt with, wherever they wait. */
  mailbox(address: string): number | undefined;
}

export function createActorHost(system: RemoteSystem): ActorService {
  const actors = new Map<string, Actor<RemoteActorLogic>>();
  const exited = createDeferred<ChildExit>();
  /** By address, why. */
  const parked = new Map<string, ErrorRecord>();

  async function start(
    definition: ActorReference,
    { id = definition.name, input, ...options }: StartActorOptions = {},
  ): Promise<string> {
    if (!/^[\w.-]+$/.test(id)) {
      throw new TypeError(`Cannot start actor "${id}": an id is letters, digits, ".", "_" and "-"`);
    }
    const address = `${actorsPath}/${id}`;
    if (actors.get(address)?.getSnapshot().status === "active") {
      throw new AgentError("NAME_TAKEN", `Cannot start ${address}: it runs already`);
    }
    if (actors.size >= maxActors) {
      throw new AgentError("TOO_MANY_ACTORS", `Cannot start ${address}: ${maxActors} actors run`);
    }
    const home = homeOf(system.node, definition, { ...options, id });
    const logic = remoteActor(definition, { ...options, address, ...home }, system);
    const actor = createActor(logic, { input });
    parked.delete(address);
    actors.set(address, actor);
    await started(actor);
    return address;
  }

  async function stop(address: string): Promise<void> {
    const actor = actors.get(address);
    if (actor === undefined) return;
    const handle = handleOf(actor);
    actors.delete(address);
    actor.stop();
    await handle?.stop();
  }

  async function resume(): Promise<void> {
    const { log, node, store } = system;
    if (node === undefined) return;
    try {
      const homes = await store.homes(node);
      await Promise.all(homes.map(({ address, home }) => resumeOne(address, home)));
    } catch (error) {
      log.error("actors.not-resumed", { error: toErrorRecord(error) });
    }
  }

  async function resumeOne(address: string, home: Json): Promise<void> {
    const { definition, options } = home as unknown as StoredStart;
    try {
      refuseMissing(address, definition.module);
      if (actors.has(address)) return;
      await start(definition, options);
      system.log.info("actor.resumed", { address });
    } catch (error) {
      const record = toErrorRecord(error);
      // One that was started and then failed tells so itself.
      if (!actors.has(address)) parked.set(address, record);
      system.log.error("actor.parked", { address, error: record });
    }
  }

  const host: ActorHost = {
    start,
    stop: async (address) => {
      await stop(address);
      parked.delete(address);
      if (system.node !== undefined) await system.store.release(address);
    },
    send: async (address, event, { timeoutMs } = {}) => {
      const encoded = encodeOrBury(event, address, system);
      const expiry = timeoutMs === undefined ? {} : { expiresMs: Date.now() + timeoutMs };
      await system.registry.send(address, encoded, expiry);
    },
    list: () => [...actors.values()].map((actor) => actor.getSnapshot()),
    get: (address) => actors.get(address)?.getSnapshot(),
  };
  const child: RunningChild = {
    exited: exited.promise,
    stop: async () => {
      await Promise.all([...actors.keys()].map(stop));
      exited.resolve({ type: "normal" });
    },
    view: () => viewOf(host.list(), parked),
  };
  async function replay(id: number): Promise<boolean> {
    const { deadLetters, registry } = system;
    const found = await deadLetters.find(id);
    if (found === undefined) return false;
    // Not the incarnation that it missed: the actor as it is now.
    const { path } = parseAddress(found.target);
    if (registry.get(path) === undefined) return false;
    const letter = await deadLetters.take(id);
    if (letter === undefined) return false;
    try {
      await registry.send(path, letter.event);
      return true;
    } catch (error) {
      // It is a dead letter again, under another number.
      system.log.info("dead-letter.not-replayed", { id, error: toErrorRecord(error) });
      return false;
    }
  }

  return {
    host,
    child,
    system,
    resume,
    replay,
    actor: (address) => actors.get(address),
    mailbox: (address) => {
      const actor = actors.get(address);
      return actor === undefined ? undefined : handleOf(actor)?.depth();
    },
  };
}

/** What `ActorHome` holds, as `start` takes it. */
interface StoredStart {
  readonly definition: ActorReference;
  readonly options: StartActorOptions;
}

function homeOf(
  node: string | undefined,
  { name, module, permissions = {}, isolation = "thread" }: ActorReference,
  options: StartActorOptions,
): { readonly home?: ActorHome } {
  if (node === undefined) return {};
  const definition = { name, module, permissions, isolation };
  const plain = { definition, options } as unknown as { definition: Json; options: Json };
  return { home: { node, ...plain } };
}

/** @throws {AgentError} `ACTOR_UNKNOWN`. */
function refuseMissing(address: string, module: string): void {
  const url = compiledUrl(module);
  if (!url.startsWith("file:") || existsSync(fileURLToPath(url))) return;
  const message = `Cannot start ${address} again: its module ${module} is gone; start it from where it is now, or remove it`;
  throw new AgentError("ACTOR_UNKNOWN", message);
}

function viewOf(
  snapshots: readonly RemoteSnapshot[],
  parked: ReadonlyMap<string, ErrorRecord>,
): TreeNode {
  const idOf = (address: string): string => address.slice(actorsPath.length + 1);
  return {
    id: "actors",
    kind: "supervisor",
    address: actorsPath,
    lastError: null,
    strategy: "one_for_one",
    status: "running",
    restarts: snapshots.reduce((sum, { restarts }) => sum + restarts, 0),
    children: [
      ...snapshots.map(({ address, phase, restarts, lastError }): TreeNode => {
        const known = { address, status: phase, restarts, lastError };
        return { id: idOf(address), kind: "worker", ...known, children: [] };
      }),
      ...[...parked].map(([address, lastError]): TreeNode => {
        const known = { address, status: "parked", restarts: 0, lastError };
        return { id: idOf(address), kind: "worker", ...known, children: [] };
      }),
    ],
  };
}

/** Resolves when it runs or is done. @throws {AgentError} What it failed with. */
function started(actor: Actor<RemoteActorLogic>): Promise<void> {
  const settled = createDeferred<void>();
  actor.subscribe({
    next: ({ phase }) => {
      if (phase === "running" || phase === "done") settled.resolve();
    },
    error: (error) => settled.reject(error),
    complete: () => settled.resolve(),
  });
  actor.start();
  return settled.promise;
}
