/**
 * The HTTP contract, held against a real supervisor process.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import * as actorSchemas from "../../http/actor-schemas.ts";
import type { ServerFrame } from "../../http/live/frames.ts";
import type { Problem } from "../../http/problem.ts";
import * as schemas from "../../http/schemas.ts";
import type { AgentDetails, AgentView, Page, WorkflowView } from "../../runtime/system.ts";
import { type SupervisorProcess, startSupervisor } from "../support/supervisor.ts";

let supervisor: SupervisorProcess;
let dataDir: string;
let run: WorkflowView;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "spectra-api-"));
  supervisor = await startSupervisor(["--data-dir", dataDir]);
  run = await startPaused();
}, 120_000);

afterAll(async () => {
  supervisor?.kill("SIGTERM");
  await supervisor?.exited;
  await rm(dataDir, { recursive: true, force: true });
}, 60_000);

/** A run of the tour that stands still; it is `pending` until the engine took its first turn. */
async function startPaused(): Promise<WorkflowView> {
  const { id } = await supervisor.post<WorkflowView>("/workflows", {
    workflow: "demo",
    startPaused: true,
  });
  return expectStatus(id, "paused");
}

async function expectStatus(id: string, status: WorkflowView["status"]): Promise<WorkflowView> {
  const read = () => supervisor.get<WorkflowView>(`/workflows/${id}`);
  await vi.waitFor(async () => expect(await read()).toMatchObject({ status }), 20_000);
  return read();
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

async function send(method: string, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(supervisor.url + path, { method, ...init });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  return {
    status: response.status,
    headers: response.headers,
    body: isJson && text !== "" ? JSON.parse(text) : text,
  };
}

function json(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return {
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", ...headers },
  };
}

/** `fetch` sets Host itself, so that a foreign one needs the plain client. */
function statusWithHost(host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(`${supervisor.url}/api/v1/system/status`, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
}

function check(answer: Answer, status: number, code: string): Problem {
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(answer.body).toMatchObject({ status, code });
  expect(answer.status).toBe(status);
  return answer.body as Problem;
}

test("the probes and the figures answer without a prefix", async () => {
  expect(await send("GET", "/healthz")).toMatchObject({ status: 200, body: { status: "ok" } });
  expect(await send("GET", "/readyz")).toMatchObject({
    status: 200,
    body: { ready: true, reasons: [] },
  });
  const { body } = await send("GET", "/metrics");
  expect(body).toMatch(/^spectra_ready 1$/m);
  expect(String(body).match(/^spectra_agent_healthy\{agent="[A-Z-]+"\} 1$/gm)).toHaveLength(17);
});

test("each reading route answers what its schema says", async () => {
  const page = { items: [], nextCursor: null };
  for (const [path, schema, mayBeEmpty] of [
    ["/system/status", schemas.systemStatus],
    ["/system/metrics", schemas.systemMetrics],
    ["/system/tree", schemas.treeView],
    ["/agents", schemas.pageOf(schemas.agentView)],
    ["/agents/DIRECTOR", schemas.agentDetails],
    ["/actors", actorSchemas.actorView],
    ["/actors/root/agents/DIRECTOR", actorSchemas.actorView],
    ["/actors/root/agents/machine", actorSchemas.machineView],
    [`/actors/root/workflows/${run.id}/machine`, actorSchemas.machineView],
    ["/inspection", actorSchemas.inspectionStatus],
    ["/incidents", schemas.pageOf(actorSchemas.incidentView), "may be empty"],
    ["/dead-letters", schemas.pageOf(actorSchemas.deadLetterView), "may be empty"],
    ["/workflows", schemas.pageOf(schemas.workflowView)],
    [`/workflows/${run.id}`, schemas.workflowView],
    [`/workflows/${run.id}/tasks`, schemas.pageOf(schemas.taskView)],
    [`/workflows/${run.id}/history`, schemas.pageOf(schemas.journalEntry)],
    [`/workflows/${run.id}/graph`, schemas.workflowGraph],
  ] as const) {
    const { status, body } = await send("GET", `/api/v1${path}`);
    expect({ path, status }).toEqual({ path, status: 200 });
    expect({ path, error: schema.safeParse(body).error }).toEqual({ path, error: undefined });
    if (mayBeEmpty === undefined) expect(body).not.toEqual(page);
  }
});

test("all 17 agents are there, healthy, each in its own thread", async () => {
  const { items } = await supervisor.get<Page<AgentView>>("/agents");
  expect(items).toHaveLength(17);
  expect(items.filter((agent) => agent.health !== "healthy")).toEqual([]);
  expect(new Set(items.map((agent) => agent.threadId)).size).toBe(17);
});

test("an agent's page has the schemas of its actions and how strongly its permissions hold", async () => {
  const agent = await supervisor.get<AgentDetails>("/agents/APIDESIGNER");
  expect(agent.actions.map(({ name }) => name)).toEqual(agent.capabilities);
  for (const { inputSchema, outputSchema } of agent.actions) {
    expect([inputSchema, outputSchema]).toEqual([expect.any(Object), expect.any(Object)]);
  }
  expect(agent).toMatchObject({
    isolation: "thread",
    enforcement: { read: "hard", write: "hard", run: "hard", ffi: "hard" },
    figures: { heapBytes: expect.any(Number), bufferBytes: expect.any(Number) },
  });
  // Native code is bound by nothing that binds JavaScript, and the page says so.
  const director = await supervisor.get<AgentDetails>("/agents/DIRECTOR");
  expect(director).toMatchObject({ permissions: { ffi: true }, enforcement: { read: "soft" } });
});

test("the OpenAPI document names every route, and refers to nothing that it lacks", async () => {
  const { body } = await send("GET", "/openapi.json");
  const document = body as { openapi: string; paths: Record<string, object> };
  expect(document.openapi).toBe("3.1.0");
  expect(Object.keys(document.paths)).toEqual(
    expect.arrayContaining([
      "/healthz",
      "/readyz",
      "/metrics",
      "/api/v1/system/status",
      "/api/v1/agents/{name}/restart",
      "/api/v1/actors/{address}",
      "/api/v1/actors/{address}/machine",
      "/api/v1/dead-letters/{id}/replay",
      "/api/v1/workflows/{id}/tasks/{key}/explain",
      "/api/v1/workflows/{id}/report",
      "/api/v1/workflows/{id}/cancel",
      "/api/v1/events",
      "/api/v1/stream",
    ]),
  );
  const references = JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g);
  for (const [, reference] of references) expect(reference).toBe("#/components/schemas/Problem");
  expect((await send("GET", "/docs")).body).toContain("/api/v1/workflows/{id}/graph");
});

test("POST /workflows gives the same run for the same idempotency key", async () => {
  const start = json({ workflow: "demo", startPaused: true }, { "idempotency-key": "same-1" });
  const first = await send("POST", "/api/v1/workflows", start);
  const second = await send("POST", "/api/v1/workflows", start);
  const { id } = first.body as WorkflowView;
  expect(first).toMatchObject({ status: 201, body: { workflow: "demo" } });
  expect(first.headers.get("location")).toBe(`/api/v1/workflows/${id}`);
  expect(second).toMatchObject({ status: 201, body: { id } });
  await expectStatus(id, "paused");
});

test("GET /workflows filters and turns pages without losing or repeating a run", async () => {
  await startPaused();
  const all = await supervisor.get<Page<WorkflowView>>("/workflows?status=paused&limit=200");
  const ids: string[] = [];
  let cursor: string | null = null;
  do {
    const next: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<WorkflowView> = await supervisor.get(
      `/workflows?status=paused&limit=1${next}`,
    );
    ids.push(...page.items.map((item) => item.id));
    cursor = page.nextCursor;
  } while (cursor !== null);
  expect(ids.length).toBeGreaterThanOrEqual(2);
  expect(ids).toEqual(all.items.map((item) => item.id));
  const none = await supervisor.get<Page<WorkflowView>>("/workflows?workflow=phase1");
  expect(none.items).toEqual([]);
});

test("a run is resumed, paused and cancelled, and says who did it and why", async () => {
  const { id } = await startPaused();
  const path = `/api/v1/workflows/${id}`;
  expect(await send("POST", `${path}/resume`)).toMatchObject({
    status: 200,
    body: { status: "running" },
  });
  expect(await send("POST", `${path}/pause`, json({ reason: "lunch" }))).toMatchObject({
    body: { status: "paused" },
  });
  expect(await send("POST", `${path}/cancel`)).toMatchObject({ body: { status: "cancelled" } });
  check(await send("POST", `${path}/resume`), 409, "CONFLICT");
  const history = await send("GET", `${path}/history?limit=1000`);
  expect(JSON.stringify(history.body)).toContain("lunch");
});

test("a task that waits is explained", async () => {
  const { items } = await supervisor.get<Page<{ key: string; status: string }>>(
    `/workflows/${run.id}/tasks`,
  );
  const answer = await send("GET", `/api/v1/workflows/${run.id}/tasks/${items[0]!.key}/explain`);
  expect(schemas.taskExplanation.parse(answer.body).reasons).not.toEqual([]);
});

test.each([
  ["GET", "/api/v1/nowhere", {}, 404, "ROUTE_UNKNOWN"],
  ["GET", "/api/v1/agents/NOBODY", {}, 404, "NOT_FOUND"],
  ["POST", "/api/v1/agents/NOBODY/restart", {}, 404, "NOT_FOUND"],
  ["GET", "/api/v1/workflows/none", {}, 404, "NOT_FOUND"],
  ["GET", "/api/v1/workflows/none/tasks", {}, 404, "NOT_FOUND"],
  ["GET", "/api/v1/workflows/none/report", {}, 404, "NOT_FOUND"],
  ["POST", "/api/v1/workflows/none/cancel", {}, 404, "NOT_FOUND"],
  [
    "POST",
    "/api/v1/workflows",
    { body: "{", headers: { "content-type": "application/json" } },
    400,
    "MALFORMED_JSON",
  ],
  ["POST", "/api/v1/workflows", { body: "a=1" }, 415, "UNSUPPORTED_MEDIA_TYPE"],
  ["POST", "/api/v1/workflows", json({ workflow: "x".repeat(1_100_000) }), 413, "BODY_TOO_LARGE"],
  ["POST", "/api/v1/workflows", json({ workflow: "nothing-like-it" }), 422, "INVALID"],
  ["GET", "/api/v1/workflows?limit=0", {}, 422, "INVALID"],
  ["GET", "/api/v1/workflows?colour=red", {}, 422, "INVALID"],
  ["GET", "/api/v1/events?topics=nowhere", {}, 422, "INVALID"],
  ["GET", "/api/v1/stream", {}, 426, "UPGRADE_REQUIRED"],
] as const)("%s %s is refused with a problem", async (method, path, init, status, code) => {
  check(await send(method, path, init), status, code);
});

test("an invalid field is named by its pointer", async () => {
  const answer = await send(
    "POST",
    "/api/v1/workflows",
    json({ workflow: "demo", priority: 9, extra: 1 }),
  );
  const { errors } = check(answer, 422, "INVALID");
  expect(errors?.map((field) => field.pointer)).toEqual(["/priority", "/extra"]);
});

test("a method that a path does not have is refused with those that it has", async () => {
  const answer = await send("DELETE", "/api/v1/workflows");
  check(answer, 405, "METHOD_NOT_ALLOWED");
  const allowed = answer.headers.get("allow")?.split(", ").sort();
  expect(allowed).toEqual(["GET", "HEAD", "POST"]);
});

test("another host name is refused: DNS rebinding reaches nothing", async () => {
  expect(await statusWithHost("evil.example")).toBe(403);
  expect(await statusWithHost(`localhost:${new URL(supervisor.url).port}`)).toBe(200);
});

test("a page of another site can neither write nor open the stream", async () => {
  const origin = "https://evil.example";
  check(
    await send("POST", `/api/v1/workflows/${run.id}/cancel`, json({}, { origin })),
    403,
    "ORIGIN_REFUSED",
  );
  const status = await new Promise((resolve) => {
    const socket = new WebSocket(`${supervisor.url.replace("http", "ws")}/api/v1/stream`, {
      origin,
    });
    socket.on("unexpected-response", (refused, response) => {
      refused.destroy();
      resolve(response.statusCode);
    });
    socket.on("open", () => resolve("open"));
    socket.on("error", () => undefined);
  });
  expect(status).toBe(403);
});

test("every answer carries the security headers and no leave for other origins", async () => {
  for (const path of ["/", "/docs", "/api/v1/agents", "/api/v1/nowhere"]) {
    const { headers } = await send("GET", path);
    expect(headers.get("content-security-policy")).toContain(
      "default-src 'none'; script-src 'self'",
    );
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("access-control-allow-origin")).toBeNull();
  }
});

/** Frames of a WebSocket; `until` resolves with the first that fits. */
function openStream(query: string) {
  const socket = new WebSocket(`${supervisor.url.replace("http", "ws")}/api/v1/stream?${query}`);
  const frames: ServerFrame[] = [];
  const waiting = new Set<() => void>();
  socket.on("message", (data: Buffer) => {
    frames.push(JSON.parse(data.toString()) as ServerFrame);
    for (const look of waiting) look();
  });
  return {
    frames,
    close: () => socket.close(),
    until: (fits: (frame: ServerFrame) => boolean) =>
      new Promise<ServerFrame>((resolve) => {
        const look = (): void => {
          const found = frames.find(fits);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
  };
}

test("the WebSocket gives a snapshot, then what happens, and resumes where the client was", async () => {
  const { id } = await startPaused();
  const first = openStream(`topics=workflow:${id}`);
  const snapshot = await first.until((frame) => frame.type === "snapshot");
  expect(snapshot).toMatchObject({
    state: { workflows: { [id]: { workflow: { id, status: "paused" } } } },
  });
  await supervisor.post(`/workflows/${id}/cancel`);
  const last = await first.until(
    (frame) =>
      frame.type === "event" &&
      frame.body.type === "workflow" &&
      frame.body.workflow.status === "cancelled",
  );
  first.close();
  const seqs = first.frames.map((frame) => ("seq" in frame ? frame.seq : 0));
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b));

  if (snapshot.type !== "snapshot" || last.type !== "event") throw new Error("not a place");
  const second = openStream(`topics=workflow:${id}&from=${snapshot.epoch}:${snapshot.seq}`);
  expect(await second.until(() => true)).toMatchObject({ type: "resumed", seq: snapshot.seq });
  await second.until((frame) => frame.type === "event" && frame.seq === last.seq);
  second.close();

  const third = openStream(`topics=workflow:${id}&from=another-process:1`);
  expect(await third.until(() => true)).toMatchObject({ type: "resync", reason: "epoch" });
  third.close();
});

test("the event stream gives the same frames to curl, and takes Last-Event-ID", async () => {
  const stop = new AbortController();
  const response = await fetch(`${supervisor.url}/api/v1/events?topics=agent:DIRECTOR`, {
    signal: stop.signal,
    headers: { "last-event-id": "another-process:1" },
  });
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (/^data: .*\n\n/m.test(text)) break;
  }
  stop.abort();
  expect(text).toMatch(/^event: resync\nid: .+:\d+\ndata: \{/m);
  expect(text).toContain('"DIRECTOR"');
});

test("an agent is paused, resumed and restarted", async () => {
  const path = "/agents/PATCHER";
  expect(await supervisor.post(`${path}/pause`)).toMatchObject({ status: "paused" });
  expect(await supervisor.post(`${path}/resume`)).toMatchObject({ status: "running" });
  const before = await supervisor.get<AgentView>(path);
  await supervisor.post(`${path}/restart`, { reason: "test" });
  await expect
    .poll(async () => await supervisor.get<AgentView>(path), { timeout: 20_000 })
    .toMatchObject({ status: "running", health: "healthy", name: before.name });
  const after = await supervisor.get<AgentView>(path);
  expect(after.threadId).not.toBe(before.threadId);
});
