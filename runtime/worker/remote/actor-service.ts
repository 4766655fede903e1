/**
 * The durable actors of a node, under `/root/actors`: started and stopped at any time, addressed by name.
 *
 * @module
 */

import { type Actor, type AnyEventObject, createActor } from "xstate";
import type { RunningChild, TreeNode } from "../../../actors/tree/child-spec.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import { createDeferred } from "../../../machines/deferred.ts";
import { AgentError, toErrorRecord } from "../../../machines/error-code.ts";
import type { ActorReference } from "./define-actor.ts";
import { parseAddress } from "./registry.ts";
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
    const actor = createActor(remoteActor(definition, { ...options, address }, system), { input });
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

  const host: ActorHost = {
    start,
    stop,
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
    view: () => viewOf(host.list()),
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
    replay,
    actor: (address) => actors.get(address),
    mailbox: (address) => {
      const actor = actors.get(address);
      return actor === undefined ? undefined : handleOf(actor)?.depth();
    },
  };
}

function viewOf(snapshots: readonly RemoteSnapshot[]): TreeNode {
  return {
    id: "actors",
    kind: "supervisor",
    address: actorsPath,
    lastError: null,
    strategy: "one_for_one",
    status: "running",
    restarts: snapshots.reduce((sum, { restarts }) => sum + restarts, 0),
    children: snapshots.map(({ address, phase, restarts, lastError }): TreeNode => {
      const id = address.slice(actorsPath.length + 1);
      return { id, kind: "worker", address, status: phase, restarts, lastError, children: [] };
    }),
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
