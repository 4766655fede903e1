/**
 * Puts events into an actor's mailbox in the order in which they were sent, many in one statement.
 *
 * @module
 */

import type { ActorRepo, NewMail } from "../../../db/actor-repo.ts";
import { createDeferred, type Deferred } from "../../../machines/deferred.ts";
import { AgentError } from "../../../machines/error-code.ts";

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
  /**
   * Nothing more is written; returns what was not. Their promises are the caller's to reject. What is on
   * its way into the store settles by itself.
   */
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
  const waiting: WaitingMail[] = [];
  let underway: readonly WaitingMail[] = [];
  let state: "waiting" | "open" | "closed" = "waiting";
  let writing = false;

  async function write(): Promise<void> {
    if (writing || state !== "open") return;
    writing = true;
    try {
      while (waiting.length > 0 && state === "open") {
        underway = waiting.splice(0, appendEvents);
        await writeBatch(underway);
        underway = [];
      }
    } finally {
      writing = false;
    }
  }

  async function writeBatch(batch: readonly WaitingMail[]): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const mail = batch.map((entry) => entry.mail);
        const numbers = await store.append(address, mail);
        if (numbers === undefined) return refuse(batch, gone());
        for (const { done } of batch) done.resolve();
        onStored(Math.max(0, ...numbers.map((seq) => seq ?? 0)));
        return;
      } catch (error) {
        if (attempt === appendTries) return refuse(batch, error);
        await new Promise((resolve) => setTimeout(resolve, appendRetryMs));
      }
    }
  }

  function refuse(batch: readonly WaitingMail[], error: unknown): void {
    for (const { done } of batch) done.reject(error);
  }

  function gone(): AgentError {
    return new AgentError("ACTOR_STOPPED", `Cannot send to ${address}: it was removed`);
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
    size: () => waiting.length + underway.length,
    close: () => {
      state = "closed";
      return waiting.splice(0);
    },
  };
}
