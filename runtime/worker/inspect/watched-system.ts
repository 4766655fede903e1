/**
 * Turns what happens in one actor system into rows of frames, while it is tapped.
 *
 * XState tells of events, microsteps, actions and snapshots one by one; a frame is one event with all
 * that followed from it, up to the snapshot.
 *
 * @module
 */

import type { AnyActorRef } from "xstate";
import type { BatchWriter } from "./batch-writer.ts";
import type { ActorRecord } from "./frames.ts";
import { chartOf, definitionText, isStateMachine } from "./machine-chart.ts";
import { eventLimits, type Redactor, snapshotLimits } from "./redact.ts";
import {
  type AnySnapshotLike,
  descendants,
  logicOf,
  parentOf,
  snapshotOf,
  type TappedEvent,
} from "./xstate-tap.ts";

/** Actions and microsteps that one frame names; a loop of `always` may have thousands. */
const maxNames = 64;
/** Actors of one system that can be looked at. */
const maxLookable = 1_024;

interface Session {
  readonly record: ActorRecord;
  readonly actor: AnyActorRef;
  seq: number;
  /** JSON text of the state value after the last frame. */
  value: string;
  actions: string[];
  microsteps: string[];
  /** The tap under which `value` was read; after a pause it is stale. */
  tap: number;
  /** An event that has no frame yet: XState tells nothing more when a transition throws. */
  open: { readonly event: unknown } | undefined;
}

export interface WatchedSystem {
  readonly root: ActorRecord;
  readonly address: string;
  /** A tap begins: actors that came or moved on since the last one are registered again. */
  resume(): void;
  hear(event: TappedEvent): void;
  /** Frames for actors that ended in an error, of which XState does not tell. */
  settle(): void;
  /** How the actor is now. */
  look(session: string): AnySnapshotLike | undefined;
}

export interface WatchOptions {
  readonly root: AnyActorRef;
  readonly address: string;
  /** `<address>#<n>`: what makes session ids unique. */
  readonly prefix: string;
  readonly redactor: () => Redactor;
  readonly full: () => boolean;
  /** Undefined when no further row fits; the frame is then counted as dropped. */
  readonly writer: () => BatchWriter | undefined;
}

export function watchSystem(options: WatchOptions): WatchedSystem {
  const sessions = new WeakMap<AnyActorRef, Session>();
  const bySession = new Map<string, Session>();
  const sources = new WeakMap<object, string>();
  const unsettled = new Set<Session>();
  let taps = 0;

  function register(actor: AnyActorRef): Session {
    const known = sessions.get(actor);
    if (known !== undefined) return known;
    const session: Session = {
      record: recordOf(actor),
      actor,
      seq: 0,
      value: valueText(snapshotOf(actor)),
      actions: [],
      microsteps: [],
      tap: taps,
      open: undefined,
    };
    sessions.set(actor, session);
    if (bySession.size < maxLookable) bySession.set(session.record.session, session);
    return session;
  }

  function recordOf(actor: AnyActorRef): ActorRecord {
    const parent = actor === options.root ? undefined : parentOf(actor);
    const above = parent === undefined ? undefined : (sessions.get(parent) ?? register(parent));
    const logic = logicOf(actor);
    const machine = isStateMachine(logic)
      ? {
          machineId: logic.id,
          definition: definitionText(logic, options.redactor()),
          chart: chartOf(logic),
        }
      : {};
    return {
      session: `${options.prefix}/${actor.sessionId}`,
      address: above === undefined ? options.address : `${above.record.address}/${actor.id}`,
      name: actor.id,
      ...(above === undefined ? {} : { parent: above.record.session }),
      root: `${options.prefix}/${options.root.sessionId}`,
      ...machine,
    };
  }

  function announce(actor: AnyActorRef): void {
    const isNew = !sessions.has(actor);
    const session = register(actor);
    if (isNew) options.writer()?.actor(session.record);
  }

  /** The session, with its state read anew when nobody listened for a while. */
  function current(actor: AnyActorRef): Session {
    announce(actor);
    const session = register(actor);
    if (session.tap !== taps) {
      session.tap = taps;
      // The hole in the numbers tells that frames are missing.
      if (session.seq > 0) session.seq += 1;
      session.value = valueText(snapshotOf(actor));
      session.actions = [];
      session.microsteps = [];
    }
    return session;
  }

  function heardEvent(session: Session, { event, sourceRef }: HeardEvent): void {
    const by = sourceRef === undefined ? undefined : register(sourceRef).record.session;
    if (by !== undefined) sources.set(event, by);
    session.open = { event };
    unsettled.add(session);
    if (!options.full()) return;
    const text = options.redactor().text(event, eventLimits);
    options.writer()?.event(session.record.session, text, by);
  }

  function heardSnapshot(session: Session, event: object, snapshot: AnySnapshotLike): void {
    const from = session.value;
    const { actions, microsteps } = session;
    session.value = valueText(snapshot);
    session.open = undefined;
    unsettled.delete(session);
    if (actions.length > 0) session.actions = [];
    if (microsteps.length > 0) session.microsteps = [];
    session.seq += 1;
    if (snapshot.status !== "active") bySession.delete(session.record.session);
    const writer = options.writer();
    if (writer === undefined) return;
    const redactor = options.redactor();
    writer.transition({
      session: session.record.session,
      address: session.record.address,
      seq: session.seq,
      event: redactor.text(event, eventLimits),
      from,
      to: session.value,
      status: snapshot.status,
      actions: namesText(actions),
      microsteps: namesText(microsteps),
      source: sources.get(event),
      snapshot: options.full() ? redactor.text(snapshot, snapshotLimits) : undefined,
    });
  }

  return {
    root: register(options.root).record,
    address: options.address,
    resume: () => {
      taps += 1;
      // Those that ended while nobody listened.
      for (const [name, { actor }] of bySession) {
        if (snapshotOf(actor)?.status !== "active") bySession.delete(name);
      }
      for (const actor of descendants(options.root)) announce(actor);
    },
    hear: (heard) => {
      if (heard.type === "@xstate.actor") return announce(heard.actorRef);
      const session = current(heard.actorRef);
      switch (heard.type) {
        case "@xstate.event":
          return heardEvent(session, heard as unknown as HeardEvent);
        case "@xstate.microstep":
          if (session.microsteps.length < maxNames) {
            session.microsteps.push((heard as unknown as HeardEvent).event.type);
          }
          return;
        case "@xstate.action":
          if (session.actions.length < maxNames) {
            session.actions.push((heard as unknown as HeardAction).action.type);
          }
          return;
        case "@xstate.snapshot": {
          const { event, snapshot } = heard as unknown as HeardSnapshot;
          return heardSnapshot(session, event, snapshot);
        }
      }
    },
    settle: () => {
      for (const session of unsettled) {
        const snapshot = snapshotOf(session.actor);
        if (snapshot?.status !== "error" || session.open === undefined) continue;
        heardSnapshot(session, session.open.event as object, snapshot);
      }
      unsettled.clear();
    },
    look: (session) => {
      const known = bySession.get(session);
      return known === undefined ? undefined : snapshotOf(known.actor);
    },
  };
}

interface HeardEvent {
  readonly event: { readonly type: string };
  readonly sourceRef: AnyActorRef | undefined;
}

interface HeardAction {
  readonly action: { readonly type: string };
}

interface HeardSnapshot {
  readonly event: { readonly type: string };
  readonly snapshot: AnySnapshotLike;
}

/** JSON text of a state value; actors that are no statecharts have none. */
function valueText(snapshot: AnySnapshotLike | undefined): string {
  const value = snapshot?.value;
  return value === undefined ? "null" : JSON.stringify(value);
}

function namesText(names: readonly string[]): string {
  return names.length === 0 ? "[]" : JSON.stringify(names);
}
