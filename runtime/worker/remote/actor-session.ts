/**
 * One incarnation of a remote actor, seen from its parent: a worker, what it was given, what it has committed.
 *
 * @module
 */

import type { RunningChild } from "../../../actors/tree/child-spec.ts";
import type { ActorClaim, ActorRepo, Mail, OutgoingMail } from "../../../db/actor-repo.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import { createDeferred } from "../../../machines/deferred.ts";
import {
  AgentError,
  type ErrorRecord,
  type Json,
  toErrorRecord,
} from "../../../machines/error-code.ts";
import { bounded } from "../call/calls.ts";
import type { InspectionHub } from "../inspect/hub.ts";
import type { Carrier, WorkerFault } from "../web/carrier.ts";
import {
  type ActorHome,
  type CommitBody,
  type DeliveredEvent,
  type Envelope,
  type FailedBody,
  type FirstMessage,
  type FromWorker,
  isFromWorker,
  type Question,
  type ToWorker,
} from "./actor-protocol.ts";
import { type ActorSource, openActorWorker } from "./actor-worker.ts";
import { type EventChannel, openEventChannel } from "./event-channel.ts";
import { finalCodes } from "./restore-actor.ts";

/** Events that a worker holds and has not committed. */
const inHand = 128;
/** Events of one delivery. */
const deliveryEvents = 64;
/** A worker must have restored its actor by then. */
const startTimeoutMs = 30_000;
/** An event that this many incarnations died over is poison. */
export const poisonDeaths = 3;
/** How often a hang is looked for. */
const hangCheckMs = 500;
/** How long a worker that reported its failure may take to end. */
const lingerMs = 100;

export interface CommittedState {
  readonly seq: number;
  readonly status: "active" | "done";
  readonly output: Json;
  /** Delayed events that are stored. */
  readonly timers: number;
  readonly view?: Json;
}

export type SkipReason = "poison" | "expired";

export interface SessionHooks {
  /** A commit is stored. */
  onCommit(state: CommittedState): void;
  /** Mail of this actor's last commit is in the boxes of others. */
  onSent(targets: readonly string[]): void;
  onUnknownTarget(mail: OutgoingMail): void;
  /** This event is passed over, for good. */
  onSkip(mail: Mail, reason: SkipReason): void;
  onQuestion(question: Question): readonly string[];
}

export interface SessionOptions {
  readonly source: ActorSource;
  readonly address: string;
  readonly store: ActorRepo;
  readonly claim: ActorClaim;
  readonly input: Json;
  readonly home?: ActorHome;
  /** One event at a time until this one, since one of them may have killed the incarnation before. */
  readonly carefulUntil: number;
  /** A loop that stands still this long while it applies an event is ended. */
  readonly hangMs: number;
  readonly hooks: SessionHooks;
  readonly inspection?: InspectionHub;
  /** Its worker is there, and has restored nothing yet. */
  onOpen(session: ActorSession): void;
}

export interface ActorSession extends RunningChild {
  readonly incarnation: number;
  /** Thread or process id. */
  readonly workerId: number;
  /** There may be new mail. */
  poke(): void;
  /** Ends the worker at once; no event is blamed for it. */
  kill(): Promise<void>;
  /** The newest event that the worker was given. */
  delivered(): number;
  /** Ended with an error that a restart would repeat. */
  fatal(): ErrorRecord | undefined;
}

/** Resolves when the actor is restored. @throws {AgentError} Where it cannot be. */
export async function startSession(options: SessionOptions): Promise<ActorSession> {
  const { address, claim, hooks, store } = options;
  const exited = createDeferred<ChildExit>();
  const ready = createDeferred<void>();
  // Whoever awaits `ready` below sees it; a failure after that is told by `exited`.
  ready.promise.catch(() => undefined);
  const progress = new Float64Array(new SharedArrayBuffer(16));
  const shared = (options.source.isolation ?? "thread") === "thread";
  let delivered = claim.saved?.seq ?? 0;
  let committed = delivered;
  let careful = options.carefulUntil;
  const timerIds = new Set(claim.timers.map(({ id }) => id));
  let pumping = false;
  let pumpAgain = false;
  let open = true;
  let done = false;
  let stopping = false;
  let failure: FailedBody | undefined;
  let fault: WorkerFault | undefined;
  let ended: ErrorRecord | undefined;
  let watched = { turns: -1, sinceMs: performance.now() };

  const worker: Carrier = openActorWorker(options.source, address, claim.incarnation, {
    message: (data) => listener?.(data),
    messageerror: (error) => end(toErrorRecord(error)),
    fault: (found) => {
      fault = found;
    },
    exit: (code) => void onExit(code),
  });
  let listener: ((data: unknown) => void) | undefined;
  const channel: EventChannel = openEventChannel({
    port: {
      postMessage: (data) => worker.post(data, []),
      on: (_, listen) => {
        listener = listen;
      },
    },
    incarnation: claim.incarnation,
    onFrame: ({ kind, body }) => takeOrEnd(kind, body),
  });
  const inspector = options.inspection?.openThread();
  const watch = setInterval(checkHang, hangCheckMs);
  watch.unref();

  function say<K extends keyof ToWorker>(kind: K, body: ToWorker[K]): void {
    if (open) channel.send(kind, body);
  }

  /** What a worker says is not trusted: a frame that makes no sense ends it, and nothing else. */
  function takeOrEnd(kind: string, body: unknown): void {
    try {
      if (!isFromWorker(kind, body)) throw new TypeError(`it sent a malformed "${kind}"`);
      take(kind as keyof FromWorker, body);
    } catch (error) {
      const cause = toErrorRecord(error);
      const message = `Cannot go on with ${address}: ${cause.message}`;
      end({ name: "AgentError", code: "ACTOR_MALFORMED", message, retryable: false, cause });
      void worker.terminate();
    }
  }

  function take(kind: keyof FromWorker, body: unknown): void {
    switch (kind) {
      case "ready":
        return ready.resolve();
      case "at":
        progress[0] = body as number;
        if (body !== 0) progress[1] = body as number;
        return;
      case "commit":
        return void storeCommit(body as CommitBody);
      case "failed":
        failure = body as FailedBody;
        setTimeout(() => void worker.terminate(), lingerMs);
        return end(failure.error);
      case "ask": {
        const { id, question } = body as FromWorker["ask"];
        return say("answer", { id, addresses: hooks.onQuestion(question) });
      }
      case "stopped":
        open = false;
        void worker.terminate();
    }
  }

  async function storeCommit(body: CommitBody): Promise<void> {
    try {
      const { saved, timers, sends } = body;
      const result = await store.commit(address, claim.incarnation, { saved, timers, sends });
      if (result.type === "fenced") throw fenced(address, claim.incarnation);
      committed = Math.max(committed, saved.seq);
      for (const mail of result.unknown) hooks.onUnknownTarget(mail);
      if (sends.length > 0) hooks.onSent([...new Set(sends.map(({ target }) => target))]);
      say("committed", body.n);
      for (const id of timers.drop) timerIds.delete(id);
      for (const { id } of timers.set) timerIds.add(id);
      const { status, output, view } = body;
      const seen = view === undefined ? {} : { view };
      hooks.onCommit({ seq: committed, status, output, timers: timerIds.size, ...seen });
      if (status === "done") finish();
      else void pump();
    } catch (error) {
      // Whether it was stored is not known: the next incarnation begins with what is.
      end(toErrorRecord(error));
      void worker.terminate();
    }
  }

  function finish(): void {
    done = true;
    open = false;
    void worker.terminate();
  }

  async function pump(): Promise<void> {
    pumpAgain = true;
    if (pumping) return;
    pumping = true;
    try {
      while (pumpAgain && open && !stopping) {
        pumpAgain = false;
        await deliver();
      }
    } catch (error) {
      end(toErrorRecord(error));
      void worker.terminate();
    } finally {
      pumping = false;
    }
  }

  async function deliver(): Promise<void> {
    const isCareful = committed < careful;
    const busy = isCareful ? delivered > committed : delivered - committed >= inHand;
    if (busy) return;
    const limit = isCareful ? 1 : deliveryEvents;
    const mail = await store.pending(address, delivered, limit);
    const newest = mail.at(-1);
    if (newest === undefined || !open || stopping) return;
    delivered = newest.seq;
    say("events", mail.map(eventOf));
    pumpAgain = true;
  }

  function eventOf(mail: Mail): DeliveredEvent {
    const { event, expiresMs } = mail.event as unknown as Envelope;
    const { seq, sender, senderSeq, deaths } = mail;
    const isExpired = expiresMs !== undefined && expiresMs < Date.now();
    const reason = deaths >= poisonDeaths ? "poison" : isExpired ? "expired" : undefined;
    if (reason !== undefined) hooks.onSkip(mail, reason);
    return { seq, sender, senderSeq, event, skip: reason !== undefined };
  }

  function checkHang(): void {
    const { turns } = worker.figures();
    const nowMs = performance.now();
    if (turns !== watched.turns || progress[0] === 0) watched = { turns, sinceMs: nowMs };
    if (nowMs - watched.sinceMs < options.hangMs) return;
    const message = `Cannot go on with ${address}: its loop stood still for ${options.hangMs} ms`;
    end({ name: "AgentError", code: "ACTOR_HUNG", message, retryable: true });
    void worker.terminate();
  }

  /** Why it ends; only the first counts. */
  function end(error: ErrorRecord): void {
    open = false;
    ended ??= error;
    ready.reject(errorOf(error));
  }

  async function onExit(code: number): Promise<void> {
    clearInterval(watch);
    open = false;
    channel.close();
    inspector?.close();
    if (done || (stopping && ended === undefined)) {
      ready.reject(new AgentError("ACTOR_STOPPED", `Cannot start ${address}: it was stopped`));
      return exited.resolve({ type: "normal" });
    }
    end(fault?.error ?? exitError(address, code));
    const seq = blamed();
    try {
      if (seq > committed) await store.noteDeath(address, seq);
    } catch (error) {
      ended = toErrorRecord(error);
    }
    exited.resolve({ type: "abnormal", error: ended ?? exitError(address, code) });
  }

  /** The event that the worker died over; 0 where it was none of them. */
  function blamed(): number {
    if (killed) return 0;
    if (failure !== undefined) return failure.final ? 0 : failure.seq;
    const applying = progress[0] ?? 0;
    if (applying !== 0) return applying;
    // Its own fault, after it had applied an event and before that was stored.
    return fault === undefined ? 0 : (progress[1] ?? 0);
  }

  let killed = false;
  const session: ActorSession = {
    incarnation: claim.incarnation,
    workerId: worker.id,
    exited: exited.promise,
    poke: () => void pump(),
    delivered: () => delivered,
    fatal: () => (ended !== undefined && finalCodes.has(ended.code) ? ended : undefined),
    stop: async () => {
      stopping = true;
      say("stop", null);
      await exited.promise;
    },
    kill: async () => {
      killed = true;
      end({
        name: "AgentError",
        code: "ACTOR_KILLED",
        message: `Cannot go on with ${address}: it was killed`,
        retryable: true,
      });
      await worker.terminate();
      await exited.promise;
    },
  };
  options.onOpen(session);
  const first: FirstMessage = {
    incarnation: claim.incarnation,
    ...(inspector === undefined ? {} : { inspector: inspector.seed }),
  };
  worker.post(first, inspector === undefined ? [] : [inspector.seed.port]);
  say("start", {
    module: options.source.module,
    name: options.source.name,
    address,
    incarnation: claim.incarnation,
    input: options.input,
    ...(options.home === undefined ? {} : { home: options.home }),
    saved: claim.saved,
    timers: claim.timers,
    ...(shared ? { progress } : {}),
  });
  try {
    await bounded(ready.promise, { what: `${address} to start`, timeoutMs: startTimeoutMs });
  } catch (error) {
    void session.kill();
    await exited.promise;
    throw error;
  }
  void pump();
  return session;
}

function exitError(address: string, code: number): ErrorRecord {
  return {
    name: "AgentError",
    code: "ACTOR_EXITED",
    message: `Cannot go on with ${address}: its worker exited with code ${code}`,
    retryable: true,
  };
}

function errorOf({ code, message, retryable, cause }: ErrorRecord): AgentError {
  return new AgentError(code, message, { retryable, cause });
}

function fenced(address: string, incarnation: number): AgentError {
  return new AgentError(
    "ACTOR_FENCED",
    `Cannot commit ${address}#${incarnation}: a later incarnation runs, or a newer snapshot is stored`,
  );
}
