/**
 * Schedules over HTTP and by the command line, against a real supervisor process.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { scheduleFireView, scheduleView } from "../../http/schedule-schemas.ts";
import { pageOf } from "../../http/schemas.ts";
import type { Page, ScheduleFireView, ScheduleView, WorkflowView } from "../../runtime/system.ts";
import { launchBrowser } from "../support/browser.ts";
import { builtMain } from "../support/build.ts";
import { soon } from "../support/soon.ts";
import { type SupervisorProcess, startSupervisor } from "../support/supervisor.ts";

const definition = {
  id: "tick",
  params: ["text"],
  tasks: { only: { do: "DATASCIENCE.profile_text", with: { text: { $param: "text" } } } },
};
const base = {
  id: "nightly",
  workflow: definition,
  timeInput: "text",
  cron: ["30 2 * * *"],
  timeZone: "Europe/Berlin",
};

let supervisor: SupervisorProcess;
let dataDir: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "spectra-schedules-"));
  supervisor = await startSupervisor(["--data-dir", dataDir]);
}, 120_000);

afterAll(async () => {
  supervisor?.kill("SIGTERM");
  await supervisor?.exited;
  await rm(dataDir, { recursive: true, force: true });
}, 60_000);

async function send(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${supervisor.url}/api/v1${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? null : JSON.parse(text) };
}

async function spectra(...args: readonly string[]): Promise<{ code: number; out: string }> {
  const child = spawn(process.execPath, [builtMain, "schedules", ...args, "--data-dir", dataDir], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/tmp" },
  });
  let out = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
  }
  const [code] = (await once(child, "close")) as [number];
  return { code, out };
}

test("a schedule is created, shown, triggered, paused, made up for, and removed", async () => {
  const created = await send("POST", "/schedules", base);
  expect(created.status).toBe(201);
  expect((await send("POST", "/schedules", base)).status).toBe(200);
  expect(await send("POST", "/schedules", { ...base, cron: ["0 3 * * *"] })).toMatchObject({
    status: 409,
    body: { code: "CONFLICT" },
  });
  const view = await supervisor.get<ScheduleView>("/schedules/nightly");
  expect(scheduleView.parse(view)).toMatchObject({ id: "nightly", status: "active" });
  expect(view.next).toHaveLength(5);
  expect(pageOf(scheduleView).parse(await supervisor.get("/schedules?limit=1"))).toMatchObject({
    items: [{ id: "nightly" }],
    nextCursor: null,
  });

  const paused = await supervisor.post<ScheduleView>("/schedules/nightly/pause", {
    reason: "holiday",
  });
  expect(paused).toMatchObject({ status: "paused", note: "holiday" });
  const fire = await supervisor.post<ScheduleFireView>("/schedules/nightly/trigger");
  expect(fire.outcome).toBe("started");
  const run = () => supervisor.get<WorkflowView>(`/workflows/${fire.workflowId}`);
  await soon(async () => (await run()).status, 60_000).toBe("completed");
  expect((await run()).input).toEqual({ text: fire.time });

  await supervisor.post("/schedules/nightly/backfill", {
    from: "2026-03-27T00:00:00+01:00",
    to: "2026-03-30T12:00:00+02:00",
  });
  const fires = () => supervisor.get<Page<ScheduleFireView>>("/schedules/nightly/fires");
  await soon(async () => (await fires()).items.map(({ outcome }) => outcome), 60_000).toEqual(
    Array.from({ length: 5 }, () => "started"),
  );
  // Half past two does not exist on the 29th: the first moment after the gap stands in for it.
  const times = (pageOf(scheduleFireView).parse(await fires()) as Page<ScheduleFireView>).items;
  expect(times.slice(1).map(({ time }) => time)).toEqual([
    "2026-03-30T00:30:00.000Z",
    "2026-03-29T01:00:00.000Z",
    "2026-03-28T01:30:00.000Z",
    "2026-03-27T01:30:00.000Z",
  ]);

  expect(await supervisor.post("/schedules/nightly/resume")).toMatchObject({ status: "active" });
  expect(await send("DELETE", "/schedules/nightly")).toEqual({ status: 204, body: null });
  for (const [method, path] of [
    ["GET", "/schedules/nightly"],
    ["DELETE", "/schedules/nightly"],
    ["GET", "/schedules/nightly/fires"],
    ["POST", "/schedules/nightly/pause"],
    ["POST", "/schedules/nightly/trigger"],
  ] as const) {
    expect(await send(method, path, method === "POST" ? {} : undefined), path).toMatchObject({
      status: 404,
      body: { code: "NOT_FOUND" },
    });
  }
}, 180_000);

test("refuses what cannot be meant, with the fields", async () => {
  const wrong = await send("POST", "/schedules", { ...base, id: "x", cron: ["61 * * * *"] });
  expect(wrong).toMatchObject({
    status: 422,
    body: { code: "INVALID", errors: [{ pointer: "/cron/0" }] },
  });
  const shape = await send("POST", "/schedules", { ...base, overlap: "maybe", colour: 1 });
  expect(shape.body).toMatchObject({
    code: "INVALID",
    errors: [{ pointer: "/overlap" }, { pointer: "/colour" }],
  });
});

test("the page shows when a schedule is next, starts it now, and holds it", async () => {
  const { workflow } = base;
  const input = { text: "by hand" };
  await supervisor.post("/schedules", { id: "shown", workflow, input, everyMs: 86_400_000 });
  const browser = await launchBrowser();
  try {
    for (const width of [390, 1440]) {
      const page = await browser.newPage({ viewport: { width, height: 900 } });
      await page.goto(supervisor.url);
      const block = page.getByRole("region", { name: "Schedules" });
      await block.getByText("every 1 d 00 h").waitFor();
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      await block.getByRole("button", { name: "Start now: shown" }).click();
      await page.getByText("shown by hand: started").waitFor();
      await block.getByRole("button", { name: "Pause: shown" }).click();
      await block.getByText("paused").waitFor();
      await block.getByRole("button", { name: "Resume: shown" }).click();
      await block.getByText("active").waitFor();
      await page.close();
    }
  } finally {
    await browser.close();
  }
  const shown = await supervisor.get<ScheduleView>("/schedules/shown");
  expect(shown).toMatchObject({ status: "active", counts: { started: 2 } });
  expect((await send("DELETE", "/schedules/shown")).status).toBe(204);
}, 120_000);

test("the document has the routes", async () => {
  const response = await fetch(`${supervisor.url}/openapi.json`);
  const { paths } = (await response.json()) as { paths: Record<string, object> };
  const found = Object.entries(paths)
    .filter(([path]) => path.startsWith("/api/v1/schedules"))
    .map(([path, operations]) => `${Object.keys(operations).join(" ")} ${path}`);
  expect(found).toEqual([
    "get post /api/v1/schedules",
    "get delete /api/v1/schedules/{id}",
    "get /api/v1/schedules/{id}/fires",
    "post /api/v1/schedules/{id}/pause",
    "post /api/v1/schedules/{id}/resume",
    "post /api/v1/schedules/{id}/trigger",
    "post /api/v1/schedules/{id}/backfill",
  ]);
});

test("the command line does the same", async () => {
  const create = ["create", "ticks", "--definition", JSON.stringify(definition)];
  const when = ["--every", "1d", "--jitter", "5m", "--time-input", "text", "--overlap", "skip"];
  const created = await spectra(...create, ...when);
  expect(created).toMatchObject({ code: 0 });
  expect(created.out).toContain("ticks is active");
  expect(created.out.match(/^ {2}next .*, due at /gm)).toHaveLength(5);
  expect((await spectra("list")).out).toMatch(/^ticks +tick +every 24:00:00 +active/m);
  const triggered = await spectra("trigger", "ticks", "--overlap", "allowAll");
  expect(triggered.out).toContain("started");
  expect((await spectra("fires", "ticks")).out).toContain("started");
  expect((await spectra("pause", "ticks", "--reason", "why not")).out).toContain(
    "ticks is paused: why not",
  );
  const shown = await spectra("show", "ticks", "--json");
  expect(scheduleView.parse(JSON.parse(shown.out))).toMatchObject({ status: "paused" });
  expect((await spectra("resume", "ticks")).code).toBe(0);
  const range = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"];
  expect((await spectra("backfill", "ticks", ...range)).code).toBe(0);
  expect((await spectra("create", "bad", "--every", "soon")).code).toBe(2);
  expect((await spectra("delete", "ticks")).out).toContain("ticks is gone");
  expect(await spectra("show", "ticks")).toMatchObject({ code: 1 });
}, 180_000);
