/**
 * The worker's side of a remote actor: applies events in order, commits what they did, then goes on.
 *
 * A commit holds all that happened since the one before: events, snapshot, timers, events to others.
 * One is under way at a time; what happens meanwhile is in the next.
 *
 * @module
 */

import type { AnyActorRef, EventObject } from "xstate";
import type { OutgoingMail } from "../../../db/actor-repo.ts";
import { AgentError, type Json, toErrorRecord } from "../../../machines/error-code.ts";
import {
  type CommitBody,
  type DeliveredEvent,
  type FailedBody,
  type StartBody,
  type StoredState,
  snapshotFormat,
} from "./actor-protocol.ts";
import type { ActorDefinition } from "./define-actor.ts";
import { armTimers, type DurableTimers } from "./durable-timers.ts";
import { rememberedSenders } from "./memory-store.ts";
import { finalCodes, restoreActor } from "./restore-actor.ts";
import { decodeValue, encodeValue } from "./snapshot-codec.ts";
import { persistedSnapshot } from "./xstate-adapter.ts";

/** Events to others that one commit may hold. */
const maxSends = 1_000;

export interface RunnerPort {
  commit(body: CommitBody): void;
  /** At most once; the worker ends after it. */
  failed(body: FailedBody): void;
  stopped(): void;
  /** The actor, before it starts. */
  made(actor: AnyActorRef): void;
  /** Which event is being applied now: 0 for none. */
  progress(seq: number): void;
}

export interface ActorRunner {
  apply(events: readonly DeliveredEvent[]): void;
  committed(n: number): void;
  /** Commits what was applied, then says that it stopped. */
  stop(): void;
  tell(target: string, event: EventObject): void;
}

/** @throws {AgentError} Where the snapshot is refused. */
export function startRunner(
  definition: ActorDefinition,
  start: Pick<StartBody, "address" | "home" | "input" | "saved" | "timers">,
  port: RunnerPort,
): ActorRunner {
  const { actor, identity, stored, migrated } = restoreActor(definition, start.saved, start.input);
  const senders = new Map(Object.entries(stored?.senders ?? {}));
  let sent = stored?.sent ?? 0;
  let seq = start.saved?.seq ?? 0;
  let applying = 0;
  let sends: OutgoingMail[] = [];
  let commits = 0;
  let changed = true;
  let state: "open" | "committing" | "failed" | "stopped" = "open";
  let stopping = false;
  let scheduled = false;
  let timers: DurableTimers | undefined;

  function fail(error: unknown): void {
    if (state === "failed" || state === "stopped") return;
    state = "failed";
    const record = toErrorRecord(error);
    port.failed({ seq: applying, error: record, final: finalCodes.has(record.code) });
  }

  function commitSoon(): void {
    changed = true;
    if (scheduled || applying !== 0) return;
    scheduled = true;
    // After the promises that are settled now: what they lead to is in the same commit.
    setImmediate(() => {
      scheduled = false;
      commit();
    });
  }

  function commit(): void {
    if (state !== "open") return;
    if (!changed) {
      if (stopping) end();
      return;
    }
    try {
      const body = commitBody();
      changed = false;
      sends = [];
      state = "committing";
      port.commit(body);
    } catch (error) {
      applying = seq;
      fail(error);
    }
  }

  function commitBody(): CommitBody {
    const snapshot = actor.getSnapshot();
    const persisted: StoredState = {
      state: encodeValue(persistedSnapshot(actor)),
      senders: Object.fromEntries(senders),
      sent,
      ...(start.home === undefined ? {} : { home: start.home }),
    };
    commits += 1;
    return {
      n: commits,
      saved: {
        machineId: identity.id,
        machineVersion: identity.version,
        machineHash: identity.hash,
        format: snapshotFormat,
        seq,
        snapshot: persisted as unknown as Json,
      },
      timers: timers?.changes() ?? { set: [], drop: [] },
      sends,
      status: snapshot.status === "done" ? "done" : "active",
      output: encodeValue(snapshot.output),
      ...(definition.view === undefined ? {} : { view: encodeValue(definition.view(snapshot)) }),
    };
  }

  function end(): void {
    state = "stopped";
    actor.stop();
    port.stopped();
  }

  function applyOne(event: DeliveredEvent): void {
    // An event that an earlier delivery applied already.
    if (event.seq <= seq) return;
    const isNew = event.senderSeq > (senders.get(event.sender) ?? 0);
    if (isNew && !event.skip) {
      applying = event.seq;
      port.progress(event.seq);
      actor.send(decodeValue(event.event) as EventObject);
    }
    if (state === "failed") return;
    seq = event.seq;
    if (isNew) remember(event);
    changed = true;
  }

  function remember({ sender, senderSeq }: DeliveredEvent): void {
    senders.delete(sender);
    senders.set(sender, senderSeq);
    const [oldest] = senders.keys();
    if (senders.size > rememberedSenders && oldest !== undefined) senders.delete(oldest);
  }

  // An inspector that throws would wedge the actor: it only sets flags.
  actor.system.inspect(() => {
    if (state === "open" || state === "committing") commitSoon();
  });
  actor.subscribe({ error: fail });
  port.made(actor);
  actor.start();
  timers = armTimers(actor, definition, start.timers, { lenient: migrated });
  commitSoon();

  return {
    apply: (events) => {
      for (const event of events) {
        if (state === "failed" || state === "stopped" || stopping) return;
        if (actor.getSnapshot().status !== "active") break;
        applyOne(event);
      }
      if (state === "failed") return;
      port.progress(0);
      applying = 0;
      commit();
    },
    committed: (n) => {
      if (state !== "committing" || n !== commits) return;
      timers?.stored();
      state = "open";
      commit();
    },
    stop: () => {
      stopping = true;
      commit();
    },
    tell: (target, event) => {
      if (sends.length >= maxSends) {
        const message = `Cannot send to ${target}: ${maxSends} events wait for the next commit`;
        throw new AgentError("OUTBOX_FULL", message, { retryable: true });
      }
      sent += 1;
      sends.push({ target, senderSeq: sent, event: { event: encodeValue(event) } });
      commitSoon();
    },
  };
}
