/**
 * Puts events into an actor's mailbox in the order in which they were sent, many in one statement.
 *
 * @module
 */

import type { ActorRepo, NewMail } from "../../../db/actor-repo.ts";
import { createDeferred, type Deferred } from "../../../machines/deferred.ts";

/** Events that go into the store in one statement. */
const appendEvents = 256;
/** An append that the store fails is repeated, with the same numbers. */
const appendTries = 5;
const appendRetryMs = 200;

export interface MailboxWriter {
  /** Resolves when it is stored. Rejects with what the store failed with. */
  add(mail: NewMail): Promise<void>;
  /** The actor has its row: writing begins, or goes on. */
  open(): void;
  /** Events that are not stored yet. */
  size(): number;
  /** Nothing more is written; returns what was not. Their promises are the caller's to reject. */
  close(): readonly WaitingMail[];
}

export interface WaitingMail {
  readonly mail: NewMail;
  readonly done: Deferred<void>;
}

/** @param onStored Gets the number of the newest event that was stored. */
export function createMailboxWriter(
  address: string,
  store: ActorRepo,
  onStored: (newest: number) => void,
): MailboxWriter {
  let waiting: WaitingMail[] = [];
  let state: "waiting" | "open" | "closed" = "waiting";
  let writing = false;

  async function write(): Promise<void> {
    if (writing || state !== "open") return;
    writing = true;
    try {
      while (waiting.length > 0 && state === "open") {
        const batch = waiting.slice(0, appendEvents);
        await writeBatch(batch);
        waiting = waiting.filter((entry) => !batch.includes(entry));
      }
    } finally {
      writing = false;
    }
  }

  async function writeBatch(batch: readonly WaitingMail[]): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const mail = batch.map((entry) => entry.mail);
        const numbers = (await store.append(address, mail)) ?? [];
        for (const { done } of batch) done.resolve();
        onStored(Math.max(0, ...numbers.map((seq) => seq ?? 0)));
        return;
      } catch (error) {
        if (attempt === appendTries) {
          for (const { done } of batch) done.reject(error);
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, appendRetryMs));
      }
    }
  }

  return {
    add: (mail) => {
      const done = createDeferred<void>();
      waiting.push({ mail, done });
      void write();
      return done.promise;
    },
    open: () => {
      if (state === "waiting") state = "open";
      void write();
    },
    size: () => waiting.length,
    close: () => {
      state = "closed";
      return waiting.splice(0);
    },
  };
}
