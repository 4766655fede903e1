/**
 * A remote actor over all its incarnations: its mailbox, its supervised worker, its place in the registry.
 *
 * The handle owns the worker. What a machine does with its actors, or whether it fails, ends no worker by
 * chance: `stop` does, or the end of the actor itself.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import type { Clock, Log } from "../../../actors/ports.ts";
import type { RunningChild } from "../../../actors/tree/child-spec.ts";
import { type Supervisor, startSupervisor } from "../../../actors/tree/supervisor.ts";
import type { ActorRepo, NewMail } from "../../../db/actor-repo.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import { createDeferred } from "../../../machines/deferred.ts";
import {
  AgentError,
  type ErrorRecord,
  type Json,
  toErrorRecord,
} from "../../../machines/error-code.ts";
import type { Intensity, Restart } from "../../../machines/restart-policy.ts";
import type { InspectionHub } from "../inspect/hub.ts";
import type { ActorHome, Question, StoredState } from "./actor-protocol.ts";
import { type ActorSession, type SessionHooks, startSession } from "./actor-session.ts";
import type { ActorSource } from "./actor-worker.ts";
import type { DeadLetterReason, DeadLetters } from "./dead-letters.ts";
import { createMailboxWriter } from "./mailbox-writer.ts";
import type { Registry, Sender } from "./registry.ts";
import { finalCodes } from "./restore-actor.ts";
import { decodeValue } from "./snapshot-codec.ts";

/** Events that an actor has not applied; further ones are dead letters. */
export const maxMailbox = 10_000;
const defaultIntensity: Intensity = { maxRestarts: 10, periodMs: 60_000 };
const defaultBackoff = { initialMs: 10, maxMs: 5_000 };
const defaultHangMs = 5_000;
const defaultShutdownMs = 5_000;

export interface RemoteSystem {
  readonly store: ActorRepo;
  readonly registry: Registry;
  readonly deadLetters: DeadLetters;
  readonly clock: Clock;
  readonly log: Log;
  /** The node that starts its actors again when it starts. Absent: whoever started them does. */
  readonly node?: string;
  /** Where the machines in the workers are watched. */
  readonly inspection?: InspectionHub;
}

export interface RemoteOptions {
  /** Path without incarnation. */
  readonly address: string;
  /** Encoded input of the machine, for its first start. */
  readonly input?: Json;
  readonly names?: readonly string[];
  readonly groups?: readonly string[];
  /** Default `transient`: a machine that is done stays so, one that fails starts again. */
  readonly restart?: Restart;
  /** Default 10 restarts in 60 s. */
  readonly intensity?: Intensity;
  /** Default 10 ms to 5 s. */
  readonly backoff?: { readonly initialMs: number; readonly maxMs: number };
  /** A worker that stands still this long over an event is ended. Default 5 s. */
  readonly hangMs?: number;
  readonly shutdownMs?: number;
  /** Stored with it, where its node is to start it again. */
  readonly home?: ActorHome;
  /** A store whose snapshot is older than this event is refused. */
  readonly expectSeq?: number;
}

export type RemotePhase = "starting" | "running" | "restarting" | "done" | "failed" | "stopped";

export interface RemoteState {
  readonly phase: RemotePhase;
  readonly incarnation: number;
  readonly restarts: number;
  /** Why its worker last ended abnormally. */
  readonly lastError: ErrorRecord | null;
  /** Newest event in the mailbox, and newest one whose effect is stored. */
  readonly seq: number;
  readonly ackedSeq: number;
  /** Delayed events that are stored. */
  readonly timers: number;
  readonly workerId?: number;
  readonly output?: unknown;
  readonly error?: ErrorRecord;
  readonly view?: unknown;
}

export interface RemoteHandle {
  /** Resolves when the first incarnation runs, or has failed. Never rejects. */
  start(): Promise<void>;
  /**
   * Resolves when the event is in the mailbox (stored, where the store is the database).
   * @throws {AgentError} `ACTOR_STOPPED`, `MAILBOX_FULL`, or what the store failed with.
   */
  send(event: Json, from?: Sender, expiresMs?: number): Promise<void>;
  state(): RemoteState;
  /** Events whose effect is not stored yet, those on their way to the mailbox included. */
  depth(): number;
  /** Ends the current worker at once, one that starts too; the actor starts again by its rules. */
  kill(): Promise<void>;
  /** Stores what was applied and ends the worker. Idempotent. */
  stop(): Promise<void>;
}

export function createRemote(
  source: ActorSource,
  options: RemoteOptions,
  system: RemoteSystem,
  onChange: (state: RemoteState) => void,
): RemoteHandle {
  const { address } = options;
  const { store, registry, deadLetters } = system;
  const self = `local:${randomUUID()}`;
  let state: RemoteState = {
    phase: "starting",
    incarnation: 0,
    restarts: 0,
    lastError: null,
    seq: 0,
    ackedSeq: 0,
    timers: 0,
  };
  let session: ActorSession | undefined;
  let supervisor: Supervisor | undefined;
  let carefulUntil = 0;
  let ownSeq = 0;
  let stopping: Promise<void> | undefined;
  let unregistered = true;

  const mailbox = createMailboxWriter(address, store, (newest) => {
    change({ seq: Math.max(state.seq, newest) });
    session?.poke();
  });

  function change(next: Partial<RemoteState>): void {
    state = { ...state, ...next };
    onChange(state);
  }

  const isOver = (): boolean =>
    state.phase === "done" || state.phase === "failed" || state.phase === "stopped";

  /** The end, once. */
  function settle(next: Partial<RemoteState> & { phase: RemotePhase }): void {
    if (isOver()) return;
    if (!unregistered) registry.remove(address);
    unregistered = true;
    for (const { mail, done } of mailbox.close()) {
      bury(mail.event, "stopped", mail.sender);
      done.reject(stoppedError());
    }
    change(next);
    void supervisor?.stop();
  }

  function bury(envelope: Json, reason: DeadLetterReason, sender: string): void {
    const { event } = envelope as { event: Json };
    deadLetters.add({ sender: sender === self ? null : sender, target: address, reason, event });
  }

  function stoppedError(): AgentError {
    return new AgentError(
      "ACTOR_STOPPED",
      `Cannot send to ${address}: it has ended (${state.phase})`,
    );
  }

  async function nextIncarnation(): Promise<RunningChild> {
    const claim = await store.claim(address);
    const seq = claim.saved?.seq ?? 0;
    change({
      phase: state.incarnation === 0 ? "starting" : "restarting",
      incarnation: claim.incarnation,
      restarts: state.incarnation === 0 ? 0 : state.restarts + 1,
      seq: Math.max(state.seq, seq),
      ackedSeq: Math.max(state.ackedSeq, seq),
      timers: claim.timers.length,
    });
    registry.restarted(address, claim.incarnation);
    mailbox.open();
    refuseStale(seq);
    const done = doneState(claim.saved?.snapshot);
    if (done !== undefined) {
      settle({ phase: "done", output: done.output });
      return over();
    }
    const next = await startSession({
      source,
      address,
      store,
      claim,
      input: options.input ?? null,
      ...(options.home === undefined ? {} : { home: options.home }),
      carefulUntil,
      hangMs: options.hangMs ?? defaultHangMs,
      hooks,
      ...(system.inspection === undefined ? {} : { inspection: system.inspection }),
      onOpen: (opened) => {
        session = opened;
        change({ workerId: opened.workerId });
      },
    });
    void next.exited.then((exit) =>
      onExit(next, exit.type === "abnormal" ? exit.error : undefined),
    );
    change({ phase: "running" });
    return next;
  }

  function refuseStale(seq: number): void {
    const known = Math.max(options.expectSeq ?? 0, state.ackedSeq);
    if (seq >= known) return;
    const message = `Cannot restore ${address}: its stored snapshot holds the events to ${seq}, but ${known} were acknowledged`;
    throw new AgentError("SNAPSHOT_STALE", message);
  }

  function onExit(ended: ActorSession, error: ErrorRecord | undefined): void {
    if (session === ended) session = undefined;
    if (error === undefined || isOver() || stopping !== undefined) return;
    // One of those that it was given may be the cause; it is found by giving them alone.
    if (error.code !== "ACTOR_KILLED") carefulUntil = Math.max(carefulUntil, ended.delivered());
    if (options.restart === "temporary" || ended.fatal() !== undefined) {
      return settle({ phase: "failed", error });
    }
    change({ phase: "restarting", lastError: error });
  }

  const hooks: SessionHooks = {
    onCommit: ({ seq, status, output, timers, view }) => {
      const seen = view === undefined ? {} : { view: decodeValue(view) };
      const newest = { ackedSeq: seq, seq: Math.max(seq, state.seq), timers, ...seen };
      if (status === "done") settle({ ...newest, phase: "done", output: decodeValue(output) });
      else change(newest);
    },
    onSent: (targets) => {
      for (const target of targets) registry.poke(target);
    },
    onUnknownTarget: ({ target, senderSeq, event }) => {
      const { event: encoded } = event as { event: Json };
      // What nobody takes is a dead letter then, which is all there is to do here.
      // An actor that is about to get its mailbox takes this out of the order of what follows it, so
      // it travels under a number of its own.
      registry
        .send(target, encoded, { from: { sender: `${address}?${senderSeq}`, senderSeq: 1 } })
        .catch((error: unknown) => {
          system.log.debug("actor.undelivered", { from: address, target, error: String(error) });
        });
    },
    onSkip: ({ event, sender }, reason) => bury(event, reason, sender),
    onQuestion: (question) => answer(registry, question),
  };

  function send(event: Json, from?: Sender, expiresMs?: number): Promise<void> {
    ownSeq += 1;
    const { sender, senderSeq } = from ?? { sender: self, senderSeq: ownSeq };
    const envelope = expiresMs === undefined ? { event } : { event, expiresMs };
    const mail: NewMail = { sender, senderSeq, event: envelope };
    if (isOver() || stopping !== undefined) {
      bury(envelope, "stopped", sender);
      return Promise.reject(stoppedError());
    }
    if (depth() >= maxMailbox) {
      bury(envelope, "stash-full", sender);
      const message = `Cannot send to ${address}: ${maxMailbox} events wait for it`;
      return Promise.reject(new AgentError("MAILBOX_FULL", message, { retryable: true }));
    }
    return mailbox.add(mail);
  }

  const depth = (): number => mailbox.size() + state.seq - state.ackedSeq;

  async function start(): Promise<void> {
    try {
      registry.add({
        path: address,
        incarnation: 0,
        names: options.names ?? [],
        groups: options.groups ?? [],
        deliver: send,
        poke: () => session?.poke(),
      });
      unregistered = false;
      supervisor = await startSupervisor({
        id: address,
        strategy: "one_for_one",
        intensity: options.intensity ?? defaultIntensity,
        backoff: options.backoff ?? defaultBackoff,
        startFailure: "exits",
        clock: system.clock,
        log: system.log,
        children: [
          {
            id: source.name,
            restart: "permanent",
            shutdownMs: options.shutdownMs ?? defaultShutdownMs,
            start: startOrFail,
          },
        ],
      });
      void supervisor.exited.then((exit) => {
        if (exit.type === "abnormal") settle({ phase: "failed", error: exit.error });
      });
      if (isOver()) await supervisor.stop();
    } catch (error) {
      settle({ phase: "failed", error: toErrorRecord(error) });
    }
  }

  async function startOrFail(): Promise<RunningChild> {
    if (isOver()) return over();
    try {
      return await nextIncarnation();
    } catch (error) {
      const record = toErrorRecord(error);
      if (!finalCodes.has(record.code) && options.restart !== "temporary") {
        if (!isOver()) change({ lastError: record });
        throw error;
      }
      settle({ phase: "failed", error: record });
      return over();
    }
  }

  return {
    start,
    send,
    state: () => state,
    depth,
    kill: async () => await session?.kill(),
    stop: () => {
      stopping ??= (async () => {
        await supervisor?.stop();
        settle({ phase: "stopped" });
      })();
      return stopping;
    },
  };
}

/** In the place of a worker that is not to be started any more; its supervisor is about to stop. */
function over(): RunningChild {
  const exited = createDeferred<ChildExit>();
  return {
    exited: exited.promise,
    stop: async () => exited.resolve({ type: "normal" }),
  };
}

function answer(registry: Registry, question: Question): readonly string[] {
  const found =
    question.type === "lookup"
      ? [registry.lookup(question.name)]
      : registry.members(question.group);
  // Not with its incarnation: whoever asked means the actor, also after it has started again.
  return found.flatMap((entry) => (entry === undefined ? [] : [entry.path]));
}

/** The output of an actor that was done before its node stopped. */
function doneState(snapshot: Json | undefined): { readonly output: unknown } | undefined {
  if (typeof snapshot !== "object" || snapshot === null || !("state" in snapshot)) return undefined;
  const state = decodeValue((snapshot as unknown as StoredState).state);
  const { status, output } = (state ?? {}) as { status?: unknown; output?: unknown };
  return status === "done" ? { output } : undefined;
}
