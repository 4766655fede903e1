/**
 * The contract with XState's inside. A test that fails here after an update of XState names the internal
 * that changed; `xstate-adapter.ts` is the only place to mend.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, expect, test, vi } from "vitest";
import { assign, createActor, createMachine, fromPromise, raise, sendTo, setup } from "xstate";
import {
  actorsOf,
  isActorRef,
  limitMicrosteps,
  longClock,
  machineHash,
  maxMicrosteps,
  persistedSnapshot,
  refuseInlineInvokes,
  reschedule,
  scheduledEvents,
  sendToSelf,
  unknownChildren,
} from "../../../../runtime/worker/remote/xstate-adapter.ts";

const { version } = JSON.parse(
  readFileSync(createRequire(import.meta.url).resolve("xstate/package.json"), "utf8"),
) as { version: string };

/** Says what broke, and with which version. */
function internal(what: string): string {
  return `XState ${version} changed an internal that xstate-adapter.ts relies on: ${what}`;
}

const kid = setup({ delays: { pause: 60_000 } }).createMachine({
  id: "kid",
  initial: "waiting",
  states: { waiting: { after: { pause: "over" } }, over: { type: "final" } },
});

const parent = setup({
  types: {} as { context: { late: number } },
  actors: { kid, work: fromPromise(async () => 1) },
}).createMachine({
  id: "parent",
  context: { late: 0 },
  initial: "idle",
  on: {
    LATE: { actions: assign({ late: ({ context }) => context.late + 1 }) },
    SELF: { actions: sendTo(({ self }) => self, { type: "LATE" }) },
  },
  states: {
    idle: { on: { GO: "busy" } },
    busy: {
      entry: raise({ type: "LATE" }, { delay: 50_000, id: "late" }),
      invoke: { id: "a.b/c", src: "kid" },
      after: { 70_000: "idle" },
      on: { BACK: "idle" },
    },
  },
});

function startBusy() {
  const actor = createActor(parent, { clock: longClock }).start();
  actor.send({ type: "GO" });
  return actor;
}

describe("delayed events", () => {
  test("are in system.getSnapshot()._scheduledEvents with id, event, delay, source and target", () => {
    const actor = startBusy();
    const seen = scheduledEvents(actor).map(({ id, event, delayMs, source, target }) => ({
      id,
      type: event.type,
      delayMs,
      source,
      target,
    }));
    expect(seen, internal("system.getSnapshot()._scheduledEvents")).toEqual(
      expect.arrayContaining([
        { id: "late", type: "LATE", delayMs: 50_000, source: "", target: "" },
        expect.objectContaining({ id: "xstate.after.70000.parent.busy", source: "", target: "" }),
        expect.objectContaining({
          id: "xstate.after.pause.kid.waiting",
          source: "a.b%2Fc",
          target: "a.b%2Fc",
        }),
      ]),
    );
    expect(seen).toHaveLength(3);
    actor.stop();
  });

  test("system.scheduler.schedule(source, target, event, delay, id) fires, and leaving the state cancels", async () => {
    vi.useFakeTimers();
    try {
      const actor = startBusy();
      const late = { id: "late", event: { type: "LATE" }, source: "", target: "" };
      // The same id again replaces it, as a restore does.
      expect(reschedule(actor, late, 1_000)).toBe(true);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(actor.getSnapshot().context.late, internal("system.scheduler.schedule")).toBe(1);
      const after = "xstate.after.70000.parent.busy";
      expect(
        reschedule(actor, { id: after, event: { type: after }, source: "", target: "" }, 5),
      ).toBe(true);
      actor.send({ type: "BACK" });
      expect(
        scheduledEvents(actor).map(({ id }) => id),
        internal("cancel by id"),
      ).not.toContain(after);
      expect(reschedule(actor, { ...late, source: "nobody" }, 5)).toBe(false);
      actor.stop();
    } finally {
      vi.useRealTimers();
    }
  });

  test("a timeout longer than Node's longest waits for its whole time", async () => {
    vi.useFakeTimers();
    try {
      const fired = vi.fn();
      const days40 = 40 * 24 * 3_600_000;
      longClock.setTimeout(fired, days40);
      await vi.advanceTimersByTimeAsync(days40 - 1);
      expect(fired).not.toHaveBeenCalled();
      await vi.advanceTimersByTimeAsync(1);
      expect(fired).toHaveBeenCalledOnce();
      longClock.clearTimeout(longClock.setTimeout(fired, days40));
      await vi.advanceTimersByTimeAsync(days40);
      expect(fired).toHaveBeenCalledOnce();
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("machines", () => {
  test("options.maxIterations bounds microsteps, as an error", () => {
    const loop = setup({}).createMachine({
      initial: "a",
      states: { a: { on: { GO: "b" } }, b: { always: "c" }, c: { always: "b" } },
    });
    limitMicrosteps(loop);
    const { options } = loop as unknown as { options: { maxIterations: number } };
    expect(options.maxIterations).toBe(maxMicrosteps);
    const actor = createActor(loop);
    const errors: unknown[] = [];
    actor.subscribe({ error: (error) => errors.push(error) });
    actor.start();
    actor.send({ type: "GO" });
    expect(String(errors[0]), internal("machine.options.maxIterations")).toContain("Infinite loop");
  });

  test("root, states and invoke of a machine make its hash; a state or an invoke changes it", () => {
    const of = (extra: object) =>
      machineHash(
        setup({ actors: { kid } }).createMachine({
          id: "m",
          initial: "a",
          states: { a: {}, ...(extra as Record<string, never>) },
        }),
      );
    expect(of({})).toBe(of({}));
    expect(of({ b: {} }), internal("machine.root.states")).not.toBe(of({}));
    expect(of({ b: { invoke: { src: "kid" } } }), internal("node.invoke")).not.toBe(of({ b: {} }));
    expect(of({ b: { type: "final" } }), internal("node.type")).not.toBe(of({ b: {} }));
  });

  test("an inline invoke is told by its name xstate.invoke.*", () => {
    const inline = createMachine({ invoke: { src: fromPromise(async () => 1) } });
    const refused = expect.objectContaining({ code: "ACTOR_NOT_DURABLE" });
    expect(() => refuseInlineInvokes(inline), internal("names of inline invokes")).toThrow(refused);
    expect(() => refuseInlineInvokes(parent)).not.toThrow();
  });
});

describe("snapshots", () => {
  test("children are in snapshot.children, and persisted with src and snapshot", () => {
    const actor = startBusy();
    expect([...actorsOf(actor).keys()], internal("snapshot.children")).toEqual(["", "a.b%2Fc"]);
    const persisted = persistedSnapshot(actor) as { children: Record<string, unknown> };
    expect(persisted.children["a.b/c"], internal("persisted children")).toMatchObject({
      src: "kid",
      snapshot: { value: "waiting" },
    });
    expect(unknownChildren(parent, persisted)).toEqual([]);
    const renamed = setup({ actors: {} }).createMachine({ id: "parent" });
    expect(unknownChildren(renamed, persisted)).toEqual(['a.b/c (src "kid")']);
    actor.stop();
  });

  test("a child of inline logic is told by its src, and refused", () => {
    const spawner = setup({ types: {} as { context: { ref: unknown } } }).createMachine({
      context: ({ spawn }) => ({ ref: spawn(fromPromise(() => new Promise(() => undefined))) }),
    });
    const actor = createActor(spawner).start();
    expect(() => persistedSnapshot(actor), internal("actorRef.src")).toThrow(
      expect.objectContaining({ code: "ACTOR_NOT_DURABLE" }),
    );
    actor.stop();
  });

  test("an actor is told from a value by sessionId, send and getSnapshot", () => {
    expect(isActorRef(createActor(parent)), internal("shape of an actor")).toBe(true);
    expect(isActorRef({ send: 1 })).toBe(false);
  });
});

test("system._relay(source, target, event) sends, and inspection sees the source", () => {
  const actor = createActor(parent).start();
  const sources: unknown[] = [];
  actor.system.inspect((event) => {
    if (event.type === "@xstate.event") sources.push(event.sourceRef);
  });
  sendToSelf(actor, { type: "LATE" });
  expect(actor.getSnapshot().context.late, internal("system._relay")).toBe(1);
  expect(sources[0], internal("sourceRef of _relay")).toBe(actor);
  actor.stop();
});
