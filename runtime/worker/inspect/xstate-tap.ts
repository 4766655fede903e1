/**
 * The only file that knows XState's internals for inspection.
 *
 * XState calls `system._sendInspectionEvent` for everything that happens in a system, inspected or
 * not. Standing in its place costs less than `system.inspect`, which copies each event and calls a
 * set of observers; where a version of XState has no such method, the public way is taken.
 * A listener that throws would wedge the actor for ever (its mailbox stays half flushed), so it cannot.
 *
 * @module
 */

import type { AnyActorRef, InspectionEvent } from "xstate";

/** XState's event; `rootId` may be missing. */
export interface TappedEvent {
  readonly type: InspectionEvent["type"];
  readonly actorRef: AnyActorRef;
}

type Send = (event: TappedEvent) => void;

interface TappableSystem {
  _sendInspectionEvent?: Send;
}

/** Hears all actors of the root's system until the returned function is called. Taps may be nested and undone in any order. */
export function tapSystem(
  root: AnyActorRef,
  listener: Send,
  onError: (error: unknown) => void,
): () => void {
  let active = true;
  const guarded: Send = (event) => {
    if (!active) return;
    try {
      listener(event);
    } catch (error) {
      active = false;
      onError(error);
    }
  };
  const system = root.system as unknown as TappableSystem;
  const original = system._sendInspectionEvent;
  if (typeof original !== "function") {
    const subscription = root.system.inspect((event) => guarded(event as unknown as TappedEvent));
    return () => subscription.unsubscribe();
  }
  const stand: Send = (event) => {
    guarded(event);
    original(event);
  };
  system._sendInspectionEvent = stand;
  return () => {
    active = false;
    // Another tap may stand on top of this one; then it goes on through us, at the price of one call.
    if (system._sendInspectionEvent === stand) system._sendInspectionEvent = original;
  };
}

export function parentOf(actor: AnyActorRef): AnyActorRef | undefined {
  return (actor as { _parent?: AnyActorRef })._parent;
}

/** What the inspector needs of any actor's snapshot. */
export interface AnySnapshotLike {
  readonly status: string;
  readonly value?: unknown;
  readonly context?: unknown;
  readonly output?: unknown;
  readonly error?: unknown;
  readonly children?: Readonly<Record<string, AnyActorRef | undefined>>;
}

/** Undefined while the actor is being made: XState tells of it before it has a first state. */
export function snapshotOf(actor: AnyActorRef): AnySnapshotLike | undefined {
  try {
    return actor.getSnapshot() as AnySnapshotLike | undefined;
  } catch {
    // XState's development build throws where the other one gives undefined.
    return undefined;
  }
}

/** The actor and all below it that its snapshots know, parents first. */
export function* descendants(actor: AnyActorRef): Generator<AnyActorRef> {
  yield actor;
  for (const child of Object.values(snapshotOf(actor)?.children ?? {})) {
    if (child !== undefined) yield* descendants(child);
  }
}

/** The logic that an actor runs, as far as it is a statechart. */
export function logicOf(actor: AnyActorRef): {
  readonly config?: unknown;
  readonly root?: unknown;
} {
  return (actor as { logic?: { config?: unknown; root?: unknown } }).logic ?? {};
}
