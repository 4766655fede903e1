/**
 * The routes of actors over a real supervision tree, on both HTTP hosts.
 *
 * @module
 */

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Supervisor, startSupervisor } from "../../actors/tree/supervisor.ts";
import { actorView, inspectionStatus, machineView } from "../../http/actor-schemas.ts";
import { type HttpServer, startHttpServer } from "../../http/server.ts";
import { createActorService } from "../../runtime/actor-service.ts";
import { startInspection } from "../../runtime/inspection-feed.ts";
import { createLiveHub } from "../../runtime/live-hub.ts";
import { createNodeParts } from "../../runtime/node/context.ts";
import { untilStopped } from "../../runtime/node-children.ts";
import type { ActorView, LiveEvent, MachineView, System } from "../../runtime/system.ts";
import type { InspectionHub } from "../../runtime/worker/inspect/hub.ts";

const clock = { now: () => new Date(), monotonicMs: () => performance.now() };
const ignore = () => undefined;
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };

describe.each(["node", "uws"] as const)("actors over the %s host", (kind) => {
  let root: Supervisor;
  let hub: InspectionHub;
  let server: HttpServer;
  const events: LiveEvent[] = [];

  beforeAll(async () => {
    const live = createLiveHub("epoch", clock);
    live.subscribe((event) => events.push(event));
    hub = startInspection(live, { inspection: { mode: "off", secretNames: [] } }, log);
    root = await startSupervisor({
      id: "root",
      strategy: "one_for_all",
      clock,
      log,
      tree: { watch: hub.local.watch },
      children: [
        {
          id: "inner",
          type: "supervisor",
          start: (place) =>
            startSupervisor({
              ...place,
              id: "inner",
              strategy: "one_for_one",
              clock,
              log,
              children: [{ id: "leaf", start: async () => untilStopped(ignore) }],
            }),
        },
      ],
    });
    const actors = createActorService({
      hub,
      parts: createNodeParts(),
      tree: () => root.view(),
      log,
      bridge: () => null,
    });
    // Of a node without its other parts, these routes need no more.
    const system = { actors, live } as unknown as System;
    server = await startHttpServer({ system, host: "127.0.0.1", port: 0, kind, log });
  }, 60_000);

  afterAll(async () => {
    await server?.close();
    await root?.stop();
    hub?.close();
  }, 60_000);

  async function get(path: string): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${server.url}/api/v1${path}`);
    return { status: response.status, body: await response.json() };
  }

  function post(path: string, body: object): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return fetch(`${server.url}/api/v1${path}`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
  }

  test("the tree has every actor with its address", async () => {
    const { status, body } = await get("/actors");
    expect(status).toBe(200);
    expect(actorView.safeParse(body).error).toBeUndefined();
    expect(body).toMatchObject({
      address: "/root",
      strategy: "one_for_all",
      machineId: "supervisor",
      children: [
        {
          address: "/root/inner",
          kind: "supervisor",
          restart: "permanent",
          children: [{ address: "/root/inner/leaf", kind: "worker", status: "running" }],
        },
      ],
    });
    // What nobody measures is not made up.
    expect(Object.keys((body as ActorView).children[0] ?? {})).not.toContain("mailbox");
  });

  test("an address may be encoded or stand as it is, and /machine may follow it", async () => {
    for (const address of ["%2Froot%2Finner", "root/inner", "root%2Finner"]) {
      const actor = await get(`/actors/${address}`);
      expect([address, actor.status]).toEqual([address, 200]);
      expect(actor.body).toMatchObject({ address: "/root/inner" });
      const machine = await get(`/actors/${address}/machine`);
      expect([address, machine.status]).toEqual([address, 200]);
      expect(machineView.safeParse(machine.body).error).toBeUndefined();
      expect(machine.body).toMatchObject({
        address: "/root/inner",
        machineId: "supervisor",
        value: "running",
        definition: { id: "supervisor", initial: "starting" },
      });
    }
    const { body } = await get("/actors/root/inner/machine");
    const { root: chart } = body as MachineView;
    expect(chart.states.filter(({ active }) => active).map(({ key }) => key)).toEqual(["running"]);
    expect(chart.states.find(({ key }) => key === "stopped")).toMatchObject({ type: "final" });
  });

  test("what is not there is refused with its reason", async () => {
    expect(await get("/actors/root/nobody")).toMatchObject({
      status: 404,
      body: { code: "NOT_FOUND" },
    });
    expect(await get("/actors/root/inner/leaf/machine")).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining("it follows none") },
    });
    expect((await post("/inspection", { mode: "all" })).status).toBe(422);
    expect((await post("/inspection", { mode: "off", actor: "/root/x" })).status).toBe(404);
    expect((await post("/dead-letters/x/replay", {})).status).toBe(404);
  });

  test("inspection of one actor is switched on at run time, and its transitions are live", async () => {
    const answer = await post("/inspection", { mode: "lossless", actor: "/root/inner" });
    const status = await answer.json();
    expect(inspectionStatus.safeParse(status).error).toBeUndefined();
    expect(status).toMatchObject({ mode: "off", actors: { "/root/inner": "lossless" } });
    events.length = 0;
    root.restartChild("inner");
    await vi.waitFor(async () => {
      const { body } = await get("/actors/root/inner/machine");
      const { transitions, value } = body as MachineView;
      expect(value).toBe("running");
      expect(transitions.map(({ to }) => to)).toContain("stopped");
    }, 20_000);
    await vi.waitFor(
      () => expect(events.some(({ topics }) => topics.includes("actor:/root/inner"))).toBe(true),
      20_000,
    );
    const live = events.flatMap(({ body }) => (body.type === "inspection" ? [body] : []));
    expect(new Set(live.map(({ address }) => address))).toEqual(new Set(["/root/inner"]));
    await post("/inspection", { mode: "off" });
    expect(hub.settings()).toMatchObject({ mode: "off", actors: {} });
  });
});
