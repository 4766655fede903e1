/**
 * Turns what happens in one actor system into rows of frames, while it is tapped.
 *
 * XState tells of events, microsteps, actions and snapshots one by one; a frame is one event with all
 * that followed from it, up to the snapshot.
 *
 * @module
 */

import type { AnyActorRef } from "xstate";
import {
  type BatchWriter,
  createNameLists,
  type Interned,
  intern,
  type NameList,
} from "./batch-writer.ts";
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

/** Different state values whose texts are kept; a machine has few. */
const maxValues = 1_024;

interface Session {
  readonly record: ActorRecord;
  readonly actor: AnyActorRef;
  readonly name: Interned;
  readonly address: Interned;
  seq: number;
  /** JSON text of the state value after the last frame. */
  value: Interned;
  actions: NameList;
  microsteps: NameList;
  /** The tap under which `value` was read; after a pause it is stale. */
  tap: number;
  /** An event that has no frame yet: XState tells nothing more when a transition throws. */
  open: object | undefined;
  /** Whether it is in the list of those that may have such an event. */
  listed: boolean;
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

const statuses: ReadonlyMap<string, Interned> = new Map(
  ["active", "done", "error", "stopped"].map((status) => [status, intern(status)]),
);

export function watchSystem(options: WatchOptions): WatchedSystem {
  const sessions = new WeakMap<AnyActorRef, Session>();
  const bySession = new Map<string, Session>();
  const sources = new WeakMap<object, Interned>();
  const noNames = createNameLists();
  const values = new Map<string, Interned>();
  let unsettled: Session[] = [];
  let taps = 0;
  let newest: Session | undefined;
  let anySource = false;

  function valueOf(snapshot: AnySnapshotLike | undefined): Interned {
    const value = snapshot?.value;
    const key =
      typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
    const known = values.get(key);
    if (known !== undefined) return known;
    if (values.size >= maxValues) values.clear();
    const made = intern(typeof value === "string" ? JSON.stringify(value) : key || "null");
    values.set(key, made);
    return made;
  }

  function register(actor: AnyActorRef): Session {
    const known = sessions.get(actor);
    if (known !== undefined) return known;
    const record = recordOf(actor);
    const session: Session = {
      record,
      actor,
      name: intern(record.session),
      address: intern(record.address),
      seq: 0,
      value: valueOf(snapshotOf(actor)),
      actions: noNames(),
      microsteps: noNames(),
      tap: taps,
      open: undefined,
      listed: false,
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

  function announce(actor: AnyActorRef): Session {
    const known = sessions.get(actor);
    if (known !== undefined) return known;
    const session = register(actor);
    options.writer()?.actor(session.record);
    return session;
  }

  /** The session, with its state read anew when nobody listened for a while. */
  function current(actor: AnyActorRef): Session {
    if (newest?.actor === actor && newest.tap === taps) return newest;
    const session = announce(actor);
    newest = session;
    if (session.tap === taps) return session;
    session.tap = taps;
    // The hole in the numbers tells that frames are missing.
    if (session.seq > 0) session.seq += 1;
    session.value = valueOf(snapshotOf(actor));
    session.actions = noNames();
    session.microsteps = noNames();
    return session;
  }

  function heardEvent(session: Session, { event, sourceRef }: HeardEvent): void {
    const by = sourceRef === undefined ? undefined : register(sourceRef).name;
    if (by !== undefined) {
      sources.set(event, by);
      anySource = true;
    }
    session.open = event;
    if (!session.listed) {
      session.listed = true;
      unsettled.push(session);
    }
    if (!options.full()) return;
    const text = options.redactor().text(event, eventLimits);
    options.writer()?.event(session.name, text, by);
  }

  function heardSnapshot(session: Session, event: object, snapshot: AnySnapshotLike): void {
    const { value: from, actions, microsteps } = session;
    session.value = valueOf(snapshot);
    session.open = undefined;
    if (actions.length > 0) session.actions = noNames();
    if (microsteps.length > 0) session.microsteps = noNames();
    session.seq += 1;
    if (snapshot.status !== "active") bySession.delete(session.record.session);
    const writer = options.writer();
    if (writer === undefined) return;
    const redactor = options.redactor();
    writer.transition({
      session: session.name,
      address: session.address,
      seq: session.seq,
      event: redactor.text(event, eventLimits),
      from,
      to: session.value,
      status: statuses.get(snapshot.status) ?? intern(snapshot.status),
      actions: actions.json,
      microsteps: microsteps.json,
      source: anySource ? sources.get(event) : undefined,
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
      if (heard.type === "@xstate.actor") {
        announce(heard.actorRef);
        return;
      }
      const session = current(heard.actorRef);
      switch (heard.type) {
        case "@xstate.event":
          return heardEvent(session, heard as unknown as HeardEvent);
        case "@xstate.microstep":
          if (session.microsteps.length < maxNames) {
            session.microsteps = session.microsteps.with(
              (heard as unknown as HeardEvent).event.type,
            );
          }
          return;
        case "@xstate.action":
          if (session.actions.length < maxNames) {
            session.actions = session.actions.with((heard as unknown as HeardAction).action.type);
          }
          return;
        case "@xstate.snapshot": {
          const { event, snapshot } = heard as unknown as HeardSnapshot;
          return heardSnapshot(session, event, snapshot);
        }
        case "@xstate.transition":
          // The same again, whole: the parts above have told it.
          return;
      }
    },
    settle: () => {
      const list = unsettled;
      unsettled = [];
      for (const session of list) {
        session.listed = false;
        if (session.open === undefined) continue;
        const snapshot = snapshotOf(session.actor);
        if (snapshot?.status === "error") heardSnapshot(session, session.open, snapshot);
      }
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
