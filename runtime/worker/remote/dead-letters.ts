/**
 * Events that reached nobody: the newest in memory, all of them in the database where there is one.
 *
 * @module
 */

import type { Log } from "../../../actors/ports.ts";
import type { DeadLetterRepo, StoredDeadLetter } from "../../../db/dead-letter-repo.ts";
import { type Json, toErrorRecord } from "../../../machines/error-code.ts";

/** Kept in memory; older ones make room. */
const ringSize = 1_000;
/** Letters that wait for the database while it stores others; more are counted and dropped from it, not from the ring. */
const maxUnstored = 1_000;

export type DeadLetterReason =
  | "unknown-address"
  | "stopped"
  | "stash-full"
  | "stale-incarnation"
  | "poison"
  | "expired"
  | "not-cloneable"
  | "no-mailbox";

export interface DeadLetter extends Omit<StoredDeadLetter, "reason"> {
  /** Of the row; negative where it is only in memory. */
  readonly id: number;
  readonly reason: DeadLetterReason;
}

export interface NewLetter {
  readonly sender: string | null;
  readonly target: string;
  readonly reason: DeadLetterReason;
  readonly event: Json;
}

export interface DeadLetters {
  /** Never throws; it is in `recent` at once, and in the database soon. */
  add(letter: NewLetter): void;
  /** Newest first. */
  recent(): readonly DeadLetter[];
  /** Called for each new one. Returns how to end that. */
  subscribe(listener: (letter: DeadLetter) => void): () => void;
  find(id: number): Promise<DeadLetter | undefined>;
  /** Removes and returns it, for a replay. */
  take(id: number): Promise<DeadLetter | undefined>;
  /** Resolves when everything added so far is stored, or could not be. */
  stored(): Promise<void>;
  /** Letters that the database never got. */
  lost(): number;
}

export interface DeadLettersOptions {
  readonly node: string;
  readonly log: Log;
  /** Where the database is now; letters wait for it. */
  readonly repo?: () => DeadLetterRepo | Promise<DeadLetterRepo>;
}

export function createDeadLetters({ node, log, repo }: DeadLettersOptions): DeadLetters {
  let ring: DeadLetter[] = [];
  let unstored: DeadLetter[] = [];
  let storing: Promise<void> | undefined;
  let nextId = -1;
  let lost = 0;
  const listeners = new Set<(letter: DeadLetter) => void>();

  async function store(): Promise<void> {
    while (unstored.length > 0) {
      const letters = unstored;
      unstored = [];
      if (repo === undefined) continue;
      try {
        const to = await repo();
        const rows = await to.insert(letters);
        const stored = new Map(letters.map(({ id }, at) => [id, rows[at]?.id ?? id]));
        ring = ring.map((letter) => ({ ...letter, id: stored.get(letter.id) ?? letter.id }));
      } catch (error) {
        lost += letters.length;
        log.warn("dead-letters.not-stored", {
          letters: letters.length,
          error: toErrorRecord(error),
        });
      }
    }
    storing = undefined;
  }

  return {
    add: (letter) => {
      const made: DeadLetter = { ...letter, id: nextId, node, atMs: Date.now() };
      nextId -= 1;
      ring.push(made);
      if (ring.length > ringSize) ring.shift();
      for (const listener of listeners) {
        try {
          listener(made);
        } catch (error) {
          log.error("dead-letters.listener-failed", { error: toErrorRecord(error) });
        }
      }
      if (unstored.length < maxUnstored) unstored.push(made);
      else lost += 1;
      storing ??= Promise.resolve().then(store);
    },
    recent: () => [...ring].reverse(),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    find: async (id) => {
      await storing;
      const held = ring.find((letter) => letter.id === id);
      if (held !== undefined || id < 0) return held;
      const [row] = (await (await repo?.())?.list({ before: id + 1, limit: 1 })) ?? [];
      return row?.id === id ? letterOf(row) : undefined;
    },
    take: async (id) => {
      await storing;
      const held = ring.find((letter) => letter.id === id);
      ring = ring.filter((letter) => letter.id !== id);
      const row = id > 0 ? await (await repo?.())?.take(id) : undefined;
      return row === undefined ? held : letterOf(row);
    },
    stored: async () => await storing,
    lost: () => lost,
  };
}

function letterOf(row: StoredDeadLetter): DeadLetter {
  return { ...row, reason: row.reason as DeadLetterReason };
}
