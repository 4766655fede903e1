import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { createActor, setup } from "xstate";
import type { ActorService } from "../../../../runtime/worker/remote/actor-service.ts";
import { createMemoryStore } from "../../../../runtime/worker/remote/memory-store.ts";
import { handleOf, remoteActor } from "../../../../runtime/worker/remote/remote-actor.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { openActors, testActor } from "../../../support/remote-actors.ts";
import { soon } from "../../../support/soon.ts";

let actors: ActorService;
const address = "/root/actors/COUNTER";
const fast = { backoff: { initialMs: 1, maxMs: 5 } };

beforeAll(ensureBuilt, 200_000);
afterEach(async () => await actors.child.stop());

function viewOf(path = address): unknown {
  return actors.host.get(path)?.view;
}

function reasons(): string[] {
  return actors.system.deadLetters.recent().map(({ reason }) => reason);
}

describe("a remote actor", () => {
  test("applies events in its thread and tells the parent what is stored", async () => {
    actors = openActors(createMemoryStore());
    expect(await actors.host.start(testActor("COUNTER"))).toBe(address);
    for (const n of [1, 2, 3]) await actors.host.send(address, { type: "ADD", n });
    await soon(() => actors.host.get(address)?.ackedSeq).toBe(3);
    expect(actors.host.get(address)).toMatchObject({
      status: "active",
      phase: "running",
      incarnation: 1,
      seq: 3,
      view: { count: 3, applied: [1, 2, 3] },
    });
    expect(actors.host.get(address)).not.toHaveProperty("context");
  });

  test("goes on where it was when it is started again, on the same store", async () => {
    const store = createMemoryStore();
    actors = openActors(store);
    await actors.host.start(testActor("COUNTER"));
    await actors.host.send(address, { type: "ADD", n: 1 });
    await actors.host.stop(address);
    expect(actors.host.list()).toEqual([]);
    await actors.host.start(testActor("COUNTER"));
    await actors.host.send(address, { type: "ADD", n: 2 });
    await soon(() => viewOf()).toEqual({ count: 2, applied: [1, 2] });
    expect(actors.host.get(address)?.incarnation).toBe(2);
  });

  test("a machine that is done gives its output, stays done, and takes no more events", async () => {
    const store = createMemoryStore();
    actors = openActors(store);
    await actors.host.start(testActor("COUNTER"));
    await actors.host.send(address, { type: "ADD", n: 1 });
    await actors.host.send(address, { type: "END" });
    await soon(() => actors.host.get(address)?.status).toBe("done");
    expect(actors.host.get(address)).toMatchObject({ output: 1, phase: "done" });
    await expect(actors.host.send(address, { type: "ADD", n: 2 })).rejects.toMatchObject({
      code: "ADDRESS_UNKNOWN",
    });
    expect(reasons()).toEqual(["unknown-address"]);
    await actors.host.start(testActor("COUNTER"));
    expect(actors.host.get(address)).toMatchObject({ status: "done", output: 1 });
  });

  test.each(["throw", "exit"])(
    "an event that always ends the worker (%s) is poison after three deaths; the next goes on",
    async (how) => {
      actors = openActors(createMemoryStore());
      await actors.host.start(testActor("COUNTER"), fast);
      await actors.host.send(address, { type: "ADD", n: 1 });
      await actors.host.send(address, { type: "CRASH", how });
      await actors.host.send(address, { type: "ADD", n: 2 });
      await soon(() => viewOf()).toEqual({ count: 2, applied: [1, 2] });
      expect(actors.system.deadLetters.recent()).toMatchObject([
        { reason: "poison", target: address, event: { type: "CRASH", how } },
      ]);
      expect(actors.host.get(address)).toMatchObject({ status: "active", restarts: 3 });
    },
  );

  test("a worker that dies later, of what an event left behind, starts again with all of it", async () => {
    actors = openActors(createMemoryStore());
    await actors.host.start(testActor("COUNTER"), fast);
    await actors.host.send(address, { type: "ADD", n: 1 });
    await actors.host.send(address, { type: "CRASH", how: "uncaught" });
    await soon(() => actors.host.get(address)?.restarts).toBeGreaterThan(0);
    expect(actors.host.get(address)?.lastError?.message).toContain("thrown out of any call");
    await actors.host.send(address, { type: "ADD", n: 2 });
    await soon(() => viewOf()).toEqual({ count: 2, applied: [1, 2] });
  });

  test("a loop that never ends is ended from outside, and its event is poison too", async () => {
    actors = openActors(createMemoryStore());
    await actors.host.start(testActor("COUNTER"), { ...fast, hangMs: 1_000 });
    await actors.host.send(address, { type: "CRASH", how: "spin" });
    await actors.host.send(address, { type: "ADD", n: 2 });
    await soon(() => viewOf(), 50_000).toEqual({ count: 1, applied: [2] });
    expect(reasons()).toEqual(["poison"]);
    expect(actors.host.get(address)?.lastError).toMatchObject({ code: "ACTOR_HUNG" });
  });

  test("an endless chain of always transitions is an error, not a hang", async () => {
    actors = openActors(createMemoryStore());
    const path = await actors.host.start(testActor("LOOP", "changed-actors"), fast);
    await actors.host.send(path, { type: "GO" });
    await soon(reasons).toEqual(["poison"]);
    expect(actors.host.get(path)?.lastError?.message).toContain("Infinite loop");
  });

  test("one that may not be restarted fails once, in the machine that invoked it", async () => {
    actors = openActors(createMemoryStore());
    const failures: unknown[] = [];
    const logic = remoteActor(
      testActor("COUNTER"),
      { address: "/root/flow/kid", restart: "temporary" },
      actors.system,
    );
    const machine = setup({ actors: { kid: logic } }).createMachine({
      initial: "up",
      states: {
        up: {
          invoke: {
            id: "kid",
            src: "kid",
            onError: { target: "down", actions: ({ event }) => failures.push(event.error) },
          },
        },
        down: {},
      },
    });
    const parent = createActor(machine).start();
    const kid = parent.getSnapshot().children["kid"];
    kid?.send({ type: "CRASH", how: "throw" });
    await soon(() => parent.getSnapshot().value).toBe("down");
    expect(failures).toMatchObject([{ name: "RangeError", message: "the action of CRASH throws" }]);
    expect(actors.system.registry.get("/root/flow/kid")).toBeUndefined();
    parent.stop();
  });

  test("a parent that is persisted and restored deeply has its child again, in a new worker", async () => {
    actors = openActors(createMemoryStore());
    const logic = remoteActor(testActor("COUNTER"), { address: "/root/flow/kid" }, actors.system);
    const machine = setup({ actors: { kid: logic } }).createMachine({
      invoke: { id: "kid", src: "kid" },
    });
    const first = createActor(machine).start();
    const kid = first.getSnapshot().children["kid"];
    if (kid === undefined) throw new Error("the machine did not invoke its child");
    kid.send({ type: "ADD", n: 1 });
    await soon(() => kid.getSnapshot().ackedSeq).toBe(1);
    const persisted = structuredClone(first.getPersistedSnapshot());
    const handle = handleOf(kid);
    first.stop();
    await handle?.stop();

    const second = createActor(machine, { snapshot: persisted }).start();
    const again = second.getSnapshot().children["kid"];
    again?.send({ type: "ADD", n: 2 });
    await soon(() => again?.getSnapshot().view).toEqual({ count: 2, applied: [1, 2] });
    expect(again?.getSnapshot()).toMatchObject({ incarnation: 2, phase: "running" });
    second.stop();
  });

  test("what reached nobody is a dead letter with its reason", async () => {
    actors = openActors(createMemoryStore());
    const heard: string[] = [];
    actors.system.deadLetters.subscribe(({ reason }) => heard.push(reason));
    await actors.host.start(testActor("COUNTER"));
    const refusals = [
      actors.host.send("/root/actors/NOBODY", { type: "ADD", n: 1 }),
      actors.host.send(`${address}#7`, { type: "ADD", n: 1 }),
      actors.host.send(address, { type: "ADD", n: () => 1 }),
    ];
    const codes = await Promise.all(refusals.map((sent) => sent.catch(({ code }) => code)));
    expect(codes).toEqual(["ADDRESS_UNKNOWN", "INCARNATION_STALE", "NOT_STORABLE"]);
    await actors.host.send(address, { type: "ADD", n: 1 }, { timeoutMs: -1 });
    await actors.host.send(`${address}#1`, { type: "ADD", n: 2 });
    await soon(() => viewOf()).toEqual({ count: 1, applied: [2] });
    expect(heard.toSorted()).toEqual([
      "expired",
      "not-cloneable",
      "stale-incarnation",
      "unknown-address",
    ]);
    expect(reasons().toSorted()).toEqual(heard.toSorted());
  });

  test("actors send to each other by address, and each event once, over kills of the sender", async () => {
    actors = openActors(createMemoryStore());
    await actors.host.start(testActor("COUNTER"), { id: "TARGET" });
    await actors.host.start(testActor("COUNTER"), {
      ...fast,
      intensity: { maxRestarts: 50, periodMs: 60_000 },
    });
    const target = "/root/actors/TARGET";
    const sender = actors.actor(address);
    const handle = sender === undefined ? undefined : handleOf(sender);
    for (let n = 0; n < 100; n += 1) {
      await actors.host.send(address, { type: "TELL", target, n });
      if (n % 20 !== 10) continue;
      await soon(() => handle?.state().phase).toBe("running");
      await handle?.kill();
    }
    const expected = Array.from({ length: 100 }, (_, n) => n);
    await soon(() => viewOf(target)).toEqual({ count: 100, applied: expected });
    await actors.host.send(address, { type: "TELL", target: "/root/actors/GONE", n: 1 });
    await soon(reasons).toEqual(["unknown-address"]);
    expect(handle?.state().restarts).toBe(5);
  });
});
