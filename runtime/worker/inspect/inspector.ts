/**
 * The inspector of one thread: watches actors, taps them as the settings say, and ships frames.
 *
 * `off`: nothing is installed. `lossless`: every frame, as long as the hub takes them. `sampled`: each
 * actor system is tapped until it has had `sampleFrames` in a window of `sampleWindowMs`; then the tap
 * is taken out until the window ends, so that a busy actor pays for a few frames only and a quiet one
 * is seen whole. It never blocks and never throws into an actor.
 *
 * @module
 */

import type { AnyActorRef } from "xstate";
import type { Json } from "../../../machines/error-code.ts";
import { type BatchWriter, createBatchWriter } from "./batch-writer.ts";
import {
  flushIntervalMs,
  type HubMessage,
  type InspectorMessage,
  type InspectorSettings,
  maxBatchRows,
  maxOpenBatches,
  modeOf,
  settingsOff,
} from "./frames.ts";
import { createRedactor, snapshotLimits } from "./redact.ts";
import { type WatchedSystem, watchSystem } from "./watched-system.ts";
import { tapSystem } from "./xstate-tap.ts";

/** Frames of one actor system in a window, in sampled mode. */
const sampleFrames = 40;
const sampleWindowMs = 500;
/** Systems that one thread watches; later ones are not seen. */
const maxWatched = 4_096;

export interface Inspector {
  /** From now on the actor, and all that it spawns, are inspected as the settings say. Call the result when it is gone. */
  watch(actor: AnyActorRef, address: string): () => void;
  /** Ships what waits, then nothing more. */
  close(): void;
}

/** @param n What tells this thread from all others of the process, now and before. */
export interface InspectorOptions {
  readonly n: number;
  readonly post: (message: InspectorMessage) => void;
  readonly nowMs?: () => number;
}

export interface InspectorEnd extends Inspector {
  receive(message: HubMessage): void;
}

/** Elsewhere than in Node timers are numbers, and keep nothing alive that we mind. */
type Timer = ReturnType<typeof setTimeout> & { unref?(): void };

interface Watched {
  readonly system: WatchedSystem;
  readonly actor: AnyActorRef;
  untap: (() => void) | undefined;
  /** Frames in this window. */
  frames: number;
}

export function createInspector(options: InspectorOptions): InspectorEnd {
  const { post } = options;
  const writer = createBatchWriter(options.nowMs ?? Date.now);
  const watched = new Set<Watched>();
  const paused = new Set<Watched>();
  let settings: InspectorSettings = settingsOff;
  let redactor = createRedactor();
  let open = 0;
  let dropped = 0;
  let flushTimer: Timer | undefined;
  let windowTimer: Timer | undefined;
  let closed = false;

  function flush(): void {
    clearTimeout(flushTimer);
    flushTimer = undefined;
    for (const one of watched) if (one.untap !== undefined) one.system.settle();
    if (writer.count() === 0 && dropped === 0) return;
    open += 1;
    post(writer.take(dropped));
    dropped = 0;
  }

  /** Where the next row goes, or undefined when the hub is too far behind. */
  function writerWithRoom(): BatchWriter | undefined {
    if (writer.count() >= maxBatchRows) {
      if (open >= maxOpenBatches) {
        dropped += 1;
        return undefined;
      }
      flush();
    }
    if (flushTimer === undefined) {
      flushTimer = setTimeout(flush, flushIntervalMs);
      flushTimer.unref?.();
    }
    return writer;
  }

  function tap(one: Watched): void {
    one.frames = 0;
    one.system.resume();
    const isSampled = modeOf(settings, one.system.address) === "sampled";
    one.untap = tapSystem(
      one.actor,
      (event) => {
        one.system.hear(event);
        if (!isSampled || event.type !== "@xstate.snapshot") return;
        one.frames += 1;
        if (one.frames >= sampleFrames) pause(one);
      },
      (error) => {
        untap(one);
        post({ type: "failed", reason: `${one.system.address}: ${String(error)}` });
      },
    );
    if (isSampled) openWindow();
  }

  function untap(one: Watched): void {
    one.untap?.();
    one.untap = undefined;
    paused.delete(one);
  }

  function pause(one: Watched): void {
    untap(one);
    paused.add(one);
  }

  function openWindow(): void {
    if (windowTimer !== undefined) return;
    windowTimer = setTimeout(() => {
      windowTimer = undefined;
      const again = [...paused];
      paused.clear();
      for (const one of again) tap(one);
      let sampled = again.length > 0;
      for (const one of watched) {
        if (one.untap === undefined) continue;
        one.frames = 0;
        sampled ||= modeOf(settings, one.system.address) === "sampled";
      }
      if (sampled) openWindow();
    }, sampleWindowMs);
    windowTimer.unref?.();
  }

  function apply(next: InspectorSettings): void {
    const before = settings;
    settings = next;
    redactor = createRedactor(next.secretNames);
    for (const one of watched) {
      const { address } = one.system;
      const mode = modeOf(next, address);
      const isSame = mode === modeOf(before, address) && next.full === before.full;
      if (isSame) continue;
      untap(one);
      if (mode !== "off") tap(one);
    }
  }

  function look(id: number, session: string): void {
    let status = "unknown";
    let value: Json = null;
    for (const { system } of watched) {
      const snapshot = system.look(session);
      if (snapshot === undefined) continue;
      status = snapshot.status;
      value = redactor.json(snapshot.value ?? null, snapshotLimits);
    }
    post({ type: "looked", id, status, value });
  }

  return {
    watch: (actor, address) => {
      if (closed || watched.size >= maxWatched) return () => undefined;
      const system = watchSystem({
        root: actor,
        address,
        prefix: `${address}#${options.n}`,
        redactor: () => redactor,
        full: () => settings.full,
        writer: writerWithRoom,
      });
      const one: Watched = { system, actor, untap: undefined, frames: 0 };
      watched.add(one);
      post({ type: "watched", actor: system.root });
      if (modeOf(settings, address) !== "off") tap(one);
      const unwatch = (): void => {
        if (!watched.delete(one)) return;
        one.system.settle();
        flush();
        untap(one);
        post({ type: "unwatched", session: system.root.session });
      };
      // Observers hear of an actor's last state before its inspectors do: that frame is waited for.
      return () => queueMicrotask(unwatch);
    },
    receive: (message) => {
      if (closed) return;
      if (message.type === "settings") apply(message.settings);
      else if (message.type === "taken") open = Math.max(0, open - 1);
      else look(message.id, message.session);
    },
    close: () => {
      if (closed) return;
      flush();
      closed = true;
      clearTimeout(windowTimer);
      for (const one of watched) untap(one);
      watched.clear();
    },
  };
}

/** The thread's end of a port, of Node's or of the web's kind. */
export interface InspectorPort {
  postMessage(message: InspectorMessage): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  close(): void;
  unref?(): void;
}

/** What a worker gets to open its inspector; structured-cloneable, with the port as transferable. */
export interface InspectorSeed {
  readonly port: InspectorPort;
  /** What tells this thread from all others. */
  readonly n: number;
  /** As they are when the thread starts: messages may come later than its first events. */
  readonly settings: InspectorSettings;
}

/**
 * Opens the inspector of a worker on a port from `InspectionHub.openThread`. It needs no more than the
 * scope of a Deno worker; the port does not keep the worker alive.
 */
export function installInspector({ port, n, settings }: InspectorSeed): Inspector {
  const end = createInspector({ n, post: (message) => port.postMessage(message) });
  end.receive({ type: "settings", settings });
  port.onmessage = ({ data }) => end.receive(data as HubMessage);
  port.unref?.();
  return {
    watch: end.watch,
    close: () => {
      end.close();
      port.close();
    },
  };
}
