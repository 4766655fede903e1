/**
 * Who is where: addresses, names and groups of the actors of a node, and the way to send to one.
 *
 * @module
 */

import { readAddress } from "../../../machines/address.ts";
import { AgentError, type Json } from "../../../machines/error-code.ts";
import type { DeadLetterReason, DeadLetters } from "./dead-letters.ts";

/** Entries at most: more is a leak. */
const maxEntries = 10_000;

export interface Sender {
  readonly sender: string;
  /** Number of the event at its sender. */
  readonly senderSeq: number;
}

export interface RegistryEntry {
  readonly path: string;
  readonly incarnation: number;
  readonly names: readonly string[];
  readonly groups: readonly string[];
}

export interface Registration extends RegistryEntry {
  /** Resolves when the event is in the actor's mailbox. `event` is encoded. */
  deliver(event: Json, from: Sender | undefined, expiresMs: number | undefined): Promise<void>;
  /** There is mail in its box that did not come through `deliver`. */
  poke?(): void;
}

export type RegistryChange =
  | { readonly type: "added" | "restarted"; readonly entry: RegistryEntry }
  | { readonly type: "removed"; readonly entry: RegistryEntry };

export interface SendOptions {
  readonly from?: Sender;
  /** Epoch ms after which nobody wants it. */
  readonly expiresMs?: number;
}

export interface Registry {
  /** @throws {AgentError} `NAME_TAKEN` when another actor has the path or one of the names. */
  add(registration: Registration): void;
  /** The same actor has started again. */
  restarted(path: string, incarnation: number): void;
  /** It has ended for good. */
  remove(path: string): void;
  get(path: string): RegistryEntry | undefined;
  lookup(name: string): RegistryEntry | undefined;
  members(group: string): readonly RegistryEntry[];
  list(): readonly RegistryEntry[];
  /** Returns how to end that. */
  subscribe(listener: (change: RegistryChange) => void): () => void;
  /**
   * Sends an encoded event to an address.
   * @throws {AgentError} `ADDRESS_UNKNOWN`, `INCARNATION_STALE`, or what the actor refuses with; it is a dead letter then.
   */
  send(address: string, event: Json, options?: SendOptions): Promise<void>;
  poke(address: string): void;
}

export function createRegistry(deadLetters: DeadLetters): Registry {
  const entries = new Map<string, Registration>();
  const byName = new Map<string, string>();
  const listeners = new Set<(change: RegistryChange) => void>();

  function tell(type: RegistryChange["type"], entry: RegistryEntry): void {
    for (const listener of listeners) listener({ type, entry: viewOf(entry) });
  }

  function refuse(
    reason: DeadLetterReason,
    error: AgentError,
    letter: { target: string; event: Json; sender: string | null },
  ): AgentError {
    deadLetters.add({ ...letter, reason });
    return error;
  }

  return {
    add: (registration) => {
      const { path, names } = registration;
      const taken = names.find((name) => (byName.get(name) ?? path) !== path);
      if (entries.has(path) || taken !== undefined) {
        const what = taken === undefined ? `the address ${path}` : `the name "${taken}"`;
        throw new AgentError("NAME_TAKEN", `Cannot register ${path}: ${what} is taken`);
      }
      if (entries.size >= maxEntries) {
        throw new AgentError("REGISTRY_FULL", `Cannot register ${path}: ${maxEntries} actors are`);
      }
      entries.set(path, registration);
      for (const name of names) byName.set(name, path);
      tell("added", registration);
    },
    restarted: (path, incarnation) => {
      const entry = entries.get(path);
      if (entry === undefined || entry.incarnation === incarnation) return;
      const next = { ...entry, incarnation };
      entries.set(path, next);
      tell("restarted", next);
    },
    remove: (path) => {
      const entry = entries.get(path);
      if (entry === undefined) return;
      entries.delete(path);
      for (const name of entry.names) byName.delete(name);
      tell("removed", entry);
    },
    get: (path) => maybeView(entries.get(path)),
    lookup: (name) => maybeView(entries.get(byName.get(name) ?? "")),
    members: (group) =>
      [...entries.values()].filter(({ groups }) => groups.includes(group)).map(viewOf),
    list: () => [...entries.values()].map(viewOf),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    send: async (target, event, { from, expiresMs } = {}) => {
      const letter = { target, event, sender: from?.sender ?? null };
      const { path, incarnation } = readAddress(target) ?? {};
      const entry = path === undefined ? undefined : entries.get(path);
      if (entry === undefined) {
        const why =
          path === undefined ? "it is no address (/path#number)" : "there is no such actor";
        const message = `Cannot send to ${target}: ${why}`;
        throw refuse("unknown-address", new AgentError("ADDRESS_UNKNOWN", message), letter);
      }
      if (incarnation !== undefined && incarnation !== entry.incarnation) {
        const message = `Cannot send to ${target}: incarnation ${entry.incarnation} runs now`;
        throw refuse("stale-incarnation", new AgentError("INCARNATION_STALE", message), letter);
      }
      await entry.deliver(event, from, expiresMs);
    },
    poke: (address) => entries.get(readAddress(address)?.path ?? "")?.poke?.(),
  };
}

function viewOf({ path, incarnation, names, groups }: RegistryEntry): RegistryEntry {
  return { path, incarnation, names, groups };
}

function maybeView(entry: RegistryEntry | undefined): RegistryEntry | undefined {
  return entry === undefined ? undefined : viewOf(entry);
}
