import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ActorService } from "../../../../runtime/worker/remote/actor-service.ts";
import { createMemoryStore } from "../../../../runtime/worker/remote/memory-store.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { openActors, testActor } from "../../../support/remote-actors.ts";
import { soon } from "../../../support/soon.ts";

let actors: ActorService;

beforeAll(ensureBuilt);
afterEach(async () => await actors.child.stop());

describe("a remote actor", () => {
  test("applies events in its thread and tells the parent what is stored", async () => {
    actors = openActors(createMemoryStore());
    const address = await actors.host.start(testActor("COUNTER"));
    expect(address).toBe("/root/actors/COUNTER");
    for (const n of [1, 2, 3]) await actors.host.send(address, { type: "ADD", n });
    await soon(() => actors.host.get(address)?.ackedSeq).toBe(3);
    expect(actors.host.get(address)).toMatchObject({
      status: "active",
      phase: "running",
      incarnation: 1,
      seq: 3,
      view: { count: 3, applied: [1, 2, 3] },
    });
  });
});
