import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { createActor } from "xstate";
import type { ActorRepo, SavedActor } from "../../../../db/actor-repo.ts";
import type { ActorService } from "../../../../runtime/worker/remote/actor-service.ts";
import { createMemoryStore } from "../../../../runtime/worker/remote/memory-store.ts";
import { handleOf, remoteActor } from "../../../../runtime/worker/remote/remote-actor.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { openActors, testActor } from "../../../support/remote-actors.ts";
import { soon } from "../../../support/soon.ts";

let actors: ActorService | undefined;

beforeAll(ensureBuilt, 200_000);
afterEach(async () => await actors?.child.stop());

/** A store where the actor has run and stopped; `change` is what somebody did to its row since. */
async function storeAfter(
  name: string,
  events: readonly { type: string }[],
  change: (saved: SavedActor) => SavedActor = (saved) => saved,
): Promise<ActorRepo> {
  const store = createMemoryStore();
  const first = openActors(store);
  const address = await first.host.start(testActor(name));
  for (const event of events) await first.host.send(address, event);
  await soon(() => first.host.get(address)?.ackedSeq).toBe(events.length);
  await first.child.stop();
  return {
    ...store,
    claim: async (path) => {
      const claim = await store.claim(path);
      return claim.saved === null ? claim : { ...claim, saved: change(claim.saved) };
    },
  };
}

async function refusal(store: ActorRepo, name: string, file?: string): Promise<unknown> {
  actors = openActors(store);
  const id = file === undefined ? {} : { id: name === "MIGRATING" ? "COUNTER" : name };
  return await actors.host.start(testActor(name, file), id).catch((error: unknown) => error);
}

describe("restoring an actor", () => {
  test("brings back children, errors and state, deeply", async () => {
    const store = await storeAfter("PARENT", [
      { type: "NOTE", text: "hello" } as never,
      { type: "START" },
    ]);
    actors = openActors(store);
    const address = await actors.host.start(testActor("PARENT"));
    await soon(() => actors?.host.get(address)?.view).toEqual({
      value: "rest",
      notes: expect.arrayContaining(["hello", "kid 1"]),
      error: "RangeError: no such thing",
      children: [],
    });
    await actors.host.stop(address);
    await actors.host.start(testActor("PARENT"));
    await actors.host.send(address, { type: "NOTE", text: "again" } as never);
    await soon(
      () => (actors?.host.get(address)?.view as { error?: string } | undefined)?.error,
    ).toBe("RangeError: no such thing");
  });

  test("refuses the snapshot of another version, naming both", async () => {
    const store = await storeAfter("COUNTER", []);
    expect(await refusal(store, "COUNTER", "changed-actors")).toMatchObject({
      code: "SNAPSHOT_MACHINE_CHANGED",
      message: expect.stringContaining('version "1"'),
    });
    expect(actors?.host.get("/root/actors/COUNTER")).toMatchObject({ status: "error" });
  });

  test("refuses other states under the same version", async () => {
    const store = await storeAfter("COUNTER", [], (saved) => ({ ...saved, machineHash: "other" }));
    expect(await refusal(store, "COUNTER")).toMatchObject({
      code: "SNAPSHOT_MACHINE_CHANGED",
      message: expect.stringContaining("changed under the same version"),
    });
  });

  test("migrates where the definition knows how", async () => {
    const store = await storeAfter("COUNTER", [
      { type: "ADD", n: 1 } as never,
      { type: "ADD", n: 2 } as never,
    ]);
    expect(await refusal(store, "MIGRATING", "changed-actors")).toBe("/root/actors/COUNTER");
    await soon(() => actors?.host.get("/root/actors/COUNTER")?.view).toEqual({ total: 2 });
  });

  test("refuses a migration that throws, with its words", async () => {
    const store = await storeAfter("COUNTER", [], (saved) => ({ ...saved, machineVersion: "0" }));
    expect(await refusal(store, "MIGRATING", "changed-actors")).toMatchObject({
      code: "SNAPSHOT_NOT_RESTORED",
      message: expect.stringContaining("there is no way from version 0"),
    });
  });

  test("refuses a child whose logic is gone, which XState would drop silently", async () => {
    const store = await storeAfter("PARENT", [{ type: "START" }], (saved) => {
      const text = JSON.stringify(saved.snapshot).replaceAll('"src":"ticker"', '"src":"vanished"');
      return { ...saved, snapshot: JSON.parse(text) };
    });
    expect(await refusal(store, "PARENT")).toMatchObject({
      code: "SNAPSHOT_CHILD_UNKNOWN",
      message: expect.stringContaining('kid (src "vanished")'),
    });
  });

  test("refuses another format, a stopped actor, and a state that is not there", async () => {
    const edit = (from: string, to: string) => (saved: SavedActor) => ({
      ...saved,
      snapshot: JSON.parse(JSON.stringify(saved.snapshot).replace(from, to)),
    });
    const format = await storeAfter("COUNTER", [], (saved) => ({ ...saved, format: 9 }));
    expect(await refusal(format, "COUNTER")).toMatchObject({ code: "SNAPSHOT_FORMAT" });
    const stopped = await storeAfter(
      "COUNTER",
      [],
      edit('"status":"active"', '"status":"stopped"'),
    );
    expect(await refusal(stopped, "COUNTER")).toMatchObject({ code: "SNAPSHOT_STOPPED" });
    const renamed = await storeAfter("COUNTER", [], edit('"value":"open"', '"value":"opened"'));
    expect(await refusal(renamed, "COUNTER")).toMatchObject({ code: "SNAPSHOT_NOT_RESTORED" });
  });

  test("refuses a store that is older than what was acknowledged", async () => {
    actors = openActors(createMemoryStore());
    const options = { address: "/root/flow/kid" };
    const logic = remoteActor(testActor("COUNTER"), options, actors.system);
    const kid = createActor(logic).start();
    kid.send({ type: "ADD", n: 1 });
    await soon(() => kid.getSnapshot().ackedSeq).toBe(1);
    const persisted = kid.getPersistedSnapshot();
    const handle = handleOf(kid);
    kid.stop();
    await handle?.stop();

    const { system } = openActors(createMemoryStore());
    const errors: unknown[] = [];
    const again = createActor(remoteActor(testActor("COUNTER"), options, system), {
      snapshot: persisted,
    });
    again.subscribe({ error: (error) => errors.push(error) });
    again.start();
    await soon(() => errors.length).toBe(1);
    expect(errors).toMatchObject([{ code: "SNAPSHOT_STALE" }]);
  });

  test("refuses to store an actor inside a Map, and keeps dates and maps", async () => {
    actors = openActors(createMemoryStore());
    const address = await actors.host.start(testActor("HOARDER", "changed-actors"), {
      backoff: { initialMs: 1, maxMs: 5 },
    });
    await actors.host.send(address, { type: "KEEP" });
    await soon(() => actors?.system.deadLetters.recent().length).toBe(1);
    await actors.host.send(address, { type: "FINE" });
    await soon(() => actors?.host.get(address)?.view).toEqual(["day 86400000"]);
    expect(actors.host.get(address)?.lastError).toMatchObject({ code: "NOT_STORABLE" });
    expect(actors.system.deadLetters.recent()).toMatchObject([{ reason: "poison" }]);
    const remote = actors.actor(address);
    await (remote === undefined ? undefined : handleOf(remote)?.kill());
    await actors.host.send(address, { type: "ANY" });
    await soon(() => actors?.host.get(address)?.ackedSeq).toBe(3);
    expect(actors.host.get(address)?.view).toEqual(["day 86400000"]);
  });
});
