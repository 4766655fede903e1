/**
 * Where the frames of all threads meet: in the main thread.
 *
 * Keeps who exists, a bounded past of each actor, and hands every frame to its readers. The order
 * within an actor is that of its `seq`; between actors it is the order of arrival.
 *
 * @module
 */

import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Json } from "../../../machines/error-code.ts";
import { AgentError } from "../../../machines/error-code.ts";
import type { InspectionMode } from "../../system.ts";
import {
  type ActorRecord,
  decodeBatch,
  type HubFrame,
  type HubMessage,
  type InspectorMessage,
  type InspectorSettings,
  settingsOff,
  type TransitionFrame,
} from "./frames.ts";
import { createInspector, type Inspector, type InspectorSeed } from "./inspector.ts";

/** Transitions kept of one actor. */
const recentPerActor = 32;
/** Actors whose past is kept; the one that was quiet for longest goes first. */
const maxRemembered = 2_048;
/** Actors known at once, spawned ones included. */
const maxActors = 16_384;
/** How long an actor's thread may take to say how its actor is. */
const lookTimeoutMs = 1_000;
const maxOpenLooks = 256;

export interface ThreadPort {
  /** For `installInspector` in the thread; its port must be transferred. */
  readonly seed: InspectorSeed & { readonly port: MessagePort };
  /** The thread is gone, or never started: what it watched is forgotten. */
  close(): void;
}

export interface LookedAt {
  readonly status: string;
  readonly value: Json;
}

export interface InspectionHub {
  /** The inspector of the main thread. */
  readonly local: Inspector;
  openThread(): ThreadPort;
  settings(): InspectorSettings;
  /** Without an address: for all, and single settings are forgotten. */
  setMode(mode: InspectionMode, address?: string): void;
  /** Full frames for a reader that needs snapshots. */
  setFull(full: boolean): void;
  /** Actors that are watched or were spawned below those. */
  actors(): Iterable<ActorRecord>;
  /** The newest actor at an address. */
  find(address: string): ActorRecord | undefined;
  /** @throws {AgentError} `LOOK_TIMEOUT` when the thread does not answer, `LOOK_UNKNOWN` when it is gone. */
  look(session: string): Promise<LookedAt>;
  /** Oldest first. */
  recent(address: string): readonly TransitionFrame[];
  /** The listener must be quick; one that throws is dropped. */
  subscribe(listener: (frame: HubFrame) => void): () => void;
  figures(): { readonly threads: number; readonly frames: number; readonly dropped: number };
  close(): void;
}

interface Link {
  readonly send: (message: HubMessage) => void;
  readonly roots: Set<string>;
}

interface Known {
  readonly record: ActorRecord;
  readonly link: Link;
}

export interface HubOptions {
  readonly secretNames?: readonly string[];
  readonly onError: (message: string) => void;
}

export function createInspectionHub(options: HubOptions): InspectionHub {
  let settings: InspectorSettings = { ...settingsOff, secretNames: options.secretNames ?? [] };
  const links = new Set<Link>();
  const known = new Map<string, Known>();
  const byAddress = new Map<string, string>();
  const past = new Map<string, TransitionFrame[]>();
  const listeners = new Set<(frame: HubFrame) => void>();
  const looks = new Map<number, (answer: LookedAt) => void>();
  let lookCount = 0;
  let linkCount = 0;
  let frames = 0;
  let dropped = 0;
  let ports: readonly MessagePort[] = [];

  function publish(frame: HubFrame): void {
    for (const listener of listeners) {
      try {
        listener(frame);
      } catch (error) {
        listeners.delete(listener);
        options.onError(`a reader of inspection failed and is left out: ${String(error)}`);
      }
    }
  }

  function learn(link: Link, record: ActorRecord): void {
    if (known.size >= maxActors) {
      const [oldest] = known.keys();
      if (oldest !== undefined) forget(oldest);
    }
    known.set(record.session, { record, link });
    byAddress.set(record.address, record.session);
    publish({ type: "actor", actor: record });
  }

  function forget(session: string): void {
    const gone = known.get(session);
    if (gone === undefined) return;
    known.delete(session);
    const { address } = gone.record;
    if (byAddress.get(address) === session) byAddress.delete(address);
  }

  /** The root and all that were spawned in its system. */
  function forgetSystem(root: string): void {
    for (const [session, { record }] of known) if (record.root === root) forget(session);
  }

  function remember(frame: TransitionFrame): void {
    const list = past.get(frame.address) ?? [];
    // Last in the map means newest, so that the first is the one to go.
    past.delete(frame.address);
    past.set(frame.address, list);
    list.push(frame);
    if (list.length > recentPerActor) list.shift();
    if (past.size <= maxRemembered) return;
    const [quietest] = past.keys();
    if (quietest !== undefined) past.delete(quietest);
  }

  function take(link: Link, frame: HubFrame): void {
    frames += 1;
    if (frame.type === "actor") return learn(link, frame.actor);
    if (frame.type === "transition") {
      remember(frame.transition);
      const { session, status } = frame.transition;
      publish(frame);
      // Roots stay until they are unwatched: their last state is of interest.
      if (status !== "active" && !link.roots.has(session)) forget(session);
      return;
    }
    publish(frame);
  }

  function receive(link: Link, message: InspectorMessage): void {
    switch (message.type) {
      case "batch":
        link.send({ type: "taken" });
        dropped += message.dropped;
        for (const frame of decodeBatch(message)) take(link, frame);
        return;
      case "watched":
        link.roots.add(message.actor.session);
        return learn(link, message.actor);
      case "unwatched":
        link.roots.delete(message.session);
        return forgetSystem(message.session);
      case "looked": {
        looks.get(message.id)?.({ status: message.status, value: message.value });
        looks.delete(message.id);
        return;
      }
      case "failed":
        options.onError(`inspection of an actor failed and is off for it: ${message.reason}`);
    }
  }

  /** What a thread sends is checked by use: it can only spoil its own frames. */
  function receiveSafely(link: Link, message: InspectorMessage): void {
    try {
      receive(link, message);
    } catch (error) {
      options.onError(`cannot read a frame of inspection: ${String(error)}`);
    }
  }

  function connect(send: Link["send"]): Link {
    const link: Link = { send, roots: new Set() };
    links.add(link);
    return link;
  }

  function disconnect(link: Link): void {
    if (!links.delete(link)) return;
    for (const [session, one] of known) if (one.link === link) forget(session);
  }

  function change(next: Partial<InspectorSettings>): void {
    settings = { ...settings, ...next };
    for (const { send } of links) send({ type: "settings", settings });
  }

  linkCount += 1;
  const own = createInspector({ n: linkCount, post: (message) => receiveSafely(local, message) });
  const local = connect((message) => own.receive(message));
  own.receive({ type: "settings", settings });

  return {
    local: own,
    openThread: () => {
      const { port1, port2 } = new MessageChannel();
      linkCount += 1;
      const n = linkCount;
      const link = connect((message) => port1.postMessage(message));
      const close = (): void => {
        disconnect(link);
        ports = ports.filter((port) => port !== port1);
        port1.close();
      };
      port1.on("message", (message: InspectorMessage) => receiveSafely(link, message));
      port1.on("close", close);
      port1.unref();
      ports = [...ports, port1];
      return { seed: { port: port2 as ThreadPort["seed"]["port"], n, settings }, close };
    },
    settings: () => settings,
    setMode: (mode, address) => {
      if (address === undefined) change({ mode, actors: {} });
      else change({ actors: { ...settings.actors, [address]: mode } });
    },
    setFull: (full) => change({ full }),
    actors: function* () {
      for (const { record } of known.values()) yield record;
    },
    find: (address) => known.get(byAddress.get(address) ?? "")?.record,
    look: async (session) => {
      const link = known.get(session)?.link;
      if (link === undefined || looks.size >= maxOpenLooks) {
        throw new AgentError("LOOK_UNKNOWN", `Cannot look at actor "${session}": it is gone`);
      }
      lookCount += 1;
      const id = lookCount;
      return await new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          looks.delete(id);
          const message = `Cannot look at actor "${session}": its thread did not answer within ${lookTimeoutMs} ms`;
          reject(new AgentError("LOOK_TIMEOUT", message, { retryable: true }));
        }, lookTimeoutMs);
        looks.set(id, (answer) => {
          clearTimeout(timer);
          resolve(answer);
        });
        link.send({ type: "look", id, session });
      });
    },
    recent: (address) => past.get(address) ?? [],
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    figures: () => ({ threads: links.size, frames, dropped }),
    close: () => {
      own.close();
      for (const port of ports) port.close();
      listeners.clear();
    },
  };
}
