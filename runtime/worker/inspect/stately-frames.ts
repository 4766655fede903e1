/**
 * Our frames in the wire protocol of Stately's inspector (`@statelyai/inspect` 0.7).
 *
 * Source: `src/types.ts` and `src/createInspector.ts` of that package. Receivers take any frame with a
 * `_version`; `createdAt` is milliseconds as text and `id` is always null.
 *
 * @module
 */

import type { Json } from "../../../machines/error-code.ts";
import type { ActorRecord, HubFrame } from "./frames.ts";

/** Of the protocol, not of a package that must be installed. */
const protocolVersion = "0.7.2";

interface Base {
  readonly sessionId: string;
  readonly rootId: string | undefined;
  readonly createdAt: string;
  readonly id: null;
  readonly _version: string;
}

export type StatelyFrame =
  | (Base & {
      readonly type: "@xstate.actor";
      readonly name: string;
      readonly parentId: string | undefined;
      /** JSON text of the machine's config. */
      readonly definition: string;
      readonly snapshot: Json;
    })
  | (Base & {
      readonly type: "@xstate.event";
      readonly event: Json;
      readonly sourceId: string | undefined;
    })
  | (Base & { readonly type: "@xstate.snapshot"; readonly event: Json; readonly snapshot: Json });

function base(sessionId: string, rootId: string | undefined, atMs: number): Base {
  return { sessionId, rootId, createdAt: String(atMs), id: null, _version: protocolVersion };
}

/** @param snapshot The newest that is known. */
export function statelyActor(
  record: ActorRecord,
  atMs: number,
  snapshot: Json = { status: "active" },
): StatelyFrame {
  // XState names an actor without an id by its session; Stately then shows the machine's name.
  const isNameless = record.session.endsWith(`/${record.name}`);
  const name = isNameless ? (record.machineId ?? record.name) : record.name;
  return {
    type: "@xstate.actor",
    ...base(record.session, record.root, atMs),
    name,
    parentId: record.parent,
    definition: record.definition ?? JSON.stringify({ id: name }),
    snapshot,
  };
}

/** @param rootOf The root of a session's system. */
export function statelyFrame(
  frame: HubFrame,
  rootOf: (session: string) => string | undefined,
  nowMs: number,
): StatelyFrame {
  switch (frame.type) {
    case "actor":
      return statelyActor(frame.actor, nowMs);
    case "event": {
      const { session, atMs, event, source } = frame.event;
      return {
        type: "@xstate.event",
        ...base(session, rootOf(session), atMs),
        event,
        sourceId: source,
      };
    }
    case "transition": {
      const { session, atMs, event, snapshot, status, to } = frame.transition;
      return {
        type: "@xstate.snapshot",
        ...base(session, rootOf(session), atMs),
        event,
        // Until its thread has heard that somebody reads them, frames come without a snapshot.
        snapshot: snapshot ?? { status, value: to },
      };
    }
  }
}
