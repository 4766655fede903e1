/**
 * The contract with XState's inside, for inspection. A test that fails here after an update of XState
 * names the internal that changed; `xstate-tap.ts` is the only place to mend.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { assign, createActor, setup } from "xstate";
import {
  descendants,
  logicOf,
  parentOf,
  snapshotOf,
  type TappedEvent,
  tapSystem,
} from "../../../../runtime/worker/inspect/xstate-tap.ts";

const { version } = JSON.parse(
  readFileSync(createRequire(import.meta.url).resolve("xstate/package.json"), "utf8"),
) as { version: string };

function internal(what: string): string {
  return `XState ${version} changed an internal that xstate-tap.ts relies on: ${what}`;
}

const kid = setup({}).createMachine({ id: "kid", initial: "here", states: { here: {} } });
const machine = setup({
  types: {} as { context: { n: number } },
  actors: { kid },
  actions: {
    count: assign({ n: ({ context }: { context: { n: number } }) => context.n + 1 }),
    note: () => undefined,
  },
}).createMachine({
  id: "light",
  context: { n: 0 },
  initial: "red",
  invoke: { id: "kid", src: "kid" },
  states: {
    red: { on: { NEXT: { target: "green", actions: ["count", "note"] } } },
    green: { on: { NEXT: "red" } },
  },
});

function unexpected(error: unknown): void {
  throw error;
}

test("all that happens goes through system._sendInspectionEvent", () => {
  const actor = createActor(machine);
  const { system } = actor as unknown as { system: { _sendInspectionEvent: unknown } };
  expect(typeof system._sendInspectionEvent, internal("system._sendInspectionEvent")).toBe(
    "function",
  );
  const heard: TappedEvent[] = [];
  const original = system._sendInspectionEvent;
  const untap = tapSystem(actor, (event) => heard.push(event), unexpected);
  actor.start();
  heard.length = 0;
  actor.send({ type: "NEXT" });
  const of = (type: TappedEvent["type"]) => heard.filter((event) => event.type === type);
  expect(of("@xstate.event"), internal("@xstate.event")).toMatchObject([
    { event: { type: "NEXT" } },
  ]);
  expect(of("@xstate.snapshot"), internal("@xstate.snapshot")).toMatchObject([
    { event: { type: "NEXT" }, snapshot: { value: "green", status: "active" } },
  ]);
  expect(of("@xstate.action"), internal("@xstate.action")).toMatchObject([
    { action: { type: "note" } },
  ]);
  expect(
    heard.every(({ actorRef }) => actorRef === actor),
    internal("event.actorRef"),
  ).toBe(true);
  untap();
  expect(system._sendInspectionEvent).toBe(original);
  heard.length = 0;
  actor.send({ type: "NEXT" });
  expect(heard).toEqual([]);
  actor.stop();
});

test("taps nest, and end in any order; XState's own observers hear all the while", () => {
  const actor = createActor(machine).start();
  const heard = { outer: 0, inner: 0, own: 0 };
  actor.system.inspect(() => {
    heard.own += 1;
  });
  const endInner = tapSystem(actor, () => void (heard.inner += 1), unexpected);
  const endOuter = tapSystem(actor, () => void (heard.outer += 1), unexpected);
  actor.send({ type: "NEXT" });
  expect(heard.inner).toBe(heard.outer);
  expect(heard.own).toBe(heard.outer);
  expect(heard.outer).toBeGreaterThan(0);
  endInner();
  const before = { ...heard };
  actor.send({ type: "NEXT" });
  expect(heard.inner).toBe(before.inner);
  expect(heard.outer).toBeGreaterThan(before.outer);
  endOuter();
  const last = { ...heard };
  actor.send({ type: "NEXT" });
  expect(heard.outer).toBe(last.outer);
  expect(heard.own).toBeGreaterThan(last.own);
  actor.stop();
});

test("a listener that throws is taken out, and the actor goes on", () => {
  const actor = createActor(machine).start();
  const errors: unknown[] = [];
  tapSystem(
    actor,
    () => {
      throw new RangeError("a bad listener");
    },
    (error) => errors.push(error),
  );
  actor.send({ type: "NEXT" });
  actor.send({ type: "NEXT" });
  expect(actor.getSnapshot()).toMatchObject({ value: "red", context: { n: 1 } });
  expect(errors).toMatchObject([{ message: "a bad listener" }]);
  actor.stop();
});

test("a version without that method is tapped the public way", () => {
  const actor = createActor(machine).start();
  const listeners: ((event: unknown) => void)[] = [];
  let ended = 0;
  const root = {
    system: {
      inspect: (listener: (event: unknown) => void) => {
        listeners.push(listener);
        return { unsubscribe: () => (ended += 1) };
      },
    },
  } as unknown as typeof actor;
  const heard: unknown[] = [];
  const untap = tapSystem(root, (event) => heard.push(event), unexpected);
  listeners[0]?.({ type: "@xstate.event" });
  expect(heard).toHaveLength(1);
  untap();
  expect(ended).toBe(1);
  actor.stop();
});

test("parents, children and logic of an actor are where we look for them", () => {
  const actor = createActor(machine).start();
  const [root, child] = [...descendants(actor)];
  expect(root).toBe(actor);
  expect(child?.id, internal("snapshot.children")).toBe("kid");
  if (child === undefined) throw new Error(internal("snapshot.children"));
  expect(parentOf(child), internal("actor._parent")).toBe(actor);
  expect(parentOf(actor)).toBeUndefined();
  expect(logicOf(actor), internal("actor.logic.root")).toMatchObject({ root: { id: "light" } });
  expect(snapshotOf(child)?.status).toBe("active");
  actor.stop();
});
