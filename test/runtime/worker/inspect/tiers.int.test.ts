/**
 * Inspection through every carrier: agents and durable actors in a thread, a process and Deno.
 *
 * @module
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TransitionFrame } from "../../../../runtime/worker/inspect/frames.ts";
import { createInspectionHub } from "../../../../runtime/worker/inspect/hub.ts";
import type { ActorService } from "../../../../runtime/worker/remote/actor-service.ts";
import { createMemoryStore } from "../../../../runtime/worker/remote/memory-store.ts";
import {
  callOf,
  recordHooks,
  startTestPool,
  type TestPool,
  testAgentUrl,
} from "../../../support/agent-pool.ts";
import { inDeno, inProcess, inThread } from "../../../support/agents/isolated.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { openActors, testActor } from "../../../support/remote-actors.ts";
import { soon } from "../../../support/soon.ts";

const problems: string[] = [];
const hub = createInspectionHub({ onError: (message) => problems.push(message) });
const seen: TransitionFrame[] = [];
hub.subscribe((frame) => {
  if (frame.type === "transition") seen.push(frame.transition);
});
const framesOf = (address: string) => seen.filter((frame) => frame.address === address);
let pool: TestPool;
let actors: ActorService;

beforeAll(async () => {
  await ensureBuilt();
  hub.setMode("lossless");
  // No action here opens a connection.
  pool = await startTestPool("postgres://nobody@127.0.0.1:1/none", {
    definitions: [inThread, inProcess, inDeno],
    moduleUrl: () => testAgentUrl("isolated"),
    intensity: { maxRestarts: 100, periodMs: 60_000 },
    spares: 0,
    inspection: hub,
  });
  actors = openActors(createMemoryStore(), undefined, hub);
  await pool.agents.allHealthy;
}, 180_000);

afterAll(async () => {
  await actors?.child.stop();
  await pool?.agents.stop();
  hub.close();
});

describe.each([
  { name: "IN-THREAD", isolation: "thread" },
  { name: "IN-PROCESS", isolation: "process" },
  { name: "IN-DENO", isolation: "deno" },
] as const)("$isolation", ({ name, isolation }) => {
  test("the actor inside an agent is seen whole, can be looked at, and is forgotten with its worker", async () => {
    const address = `/root/agents/${name}/thread`;
    for (const text of ["a", "b", "c"]) {
      const call = { ...callOf("where", { text }), agent: name };
      expect(await pool.agents.run(call, recordHooks())).toMatchObject({ type: "succeeded" });
    }
    // Its start, then a beginning and an end of each attempt.
    await soon(() => framesOf(address).length).toBe(7);
    const frames = framesOf(address);
    expect(frames.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(new Set(frames.map(({ session }) => session)).size).toBe(1);
    const record = hub.find(address);
    expect(record).toMatchObject({ machineId: "agent-thread", name });
    expect(await hub.look(record?.session ?? "")).toMatchObject({ status: "active" });
    await pool.agents.killThread(name);
    await soon(() => hub.find(address)?.session !== record?.session).toBe(true);
    await expect(hub.look(record?.session ?? "")).rejects.toMatchObject({ code: "LOOK_UNKNOWN" });
  });

  test("a durable actor's events come in order, cleaned before they left its worker", async () => {
    const actor = { ...testActor("COUNTER"), isolation };
    const address = await actors.host.start(actor, { id: `counter-${isolation}` });
    for (let n = 1; n <= 200; n += 1) {
      await actors.host.send(address, { type: "ADD", n, password: "hunter2" });
    }
    const added = () => framesOf(address).filter(({ event }) => Object(event).type === "ADD");
    await soon(() => added().length).toBe(200);
    const numbers = added().map(({ event }) => Object(event).n as number);
    expect(numbers).toEqual(Array.from({ length: 200 }, (_, at) => at + 1));
    expect(Object(added()[0]?.event)).toHaveProperty("password");
    expect(JSON.stringify(framesOf(address))).not.toContain("hunter2");
    await actors.host.stop(address);
    await soon(() => hub.find(address)).toBe(undefined);
  });
});

test("nothing was dropped, and nothing could not be read", () => {
  expect(hub.figures().dropped).toBe(0);
  expect(problems).toEqual([]);
});
