/**
 * The dashboard of a real supervisor in a real browser, as a user sees and uses it.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { WorkflowView } from "../../runtime/system.ts";
import { launchBrowser } from "../support/browser.ts";
import { type SupervisorProcess, startSupervisor } from "../support/supervisor.ts";
import { openTcpProxy } from "../support/tcp-proxy.ts";

const DESKTOP = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };

let supervisor: SupervisorProcess;
let dataDir: string;
let browser: Browser;
/** What the browser complains about: scripts that fail, contents that the policy blocks. */
const complaints: string[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "spectra-page-"));
  supervisor = await startSupervisor(["--data-dir", dataDir]);
  browser = await launchBrowser();
}, 120_000);

afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});

afterAll(async () => {
  await browser?.close();
  supervisor?.kill("SIGTERM");
  await supervisor?.exited;
  await rm(dataDir, { recursive: true, force: true });
}, 60_000);

async function open(path = "/", viewport = DESKTOP, origin = supervisor.url): Promise<Page> {
  const context = await browser.newContext({ viewport, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    // Behind a proxy that is cut, the browser rightly complains of the cut.
    if (message.type() === "error" && origin === supervisor.url) complaints.push(message.text());
  });
  await page.goto(origin + path);
  await page.getByText("Live", { exact: true }).waitFor();
  return page;
}

/** A run of the tour that stands still; it is `pending` until the engine took its first turn. */
async function startDemo(): Promise<WorkflowView> {
  const { id } = await supervisor.post<WorkflowView>("/workflows", {
    workflow: "demo",
    startPaused: true,
  });
  const read = () => supervisor.get<WorkflowView>(`/workflows/${id}`);
  await expect.poll(read, { timeout: 20_000 }).toMatchObject({ status: "paused" });
  return read();
}

test("the page shows the node, its 17 agents, and that nothing has run yet", async () => {
  const page = await open();
  await page.getByRole("heading", { name: "Nothing has run yet" }).waitFor();
  await page.getByRole("button", { name: "Start Phase 1" }).waitFor();
  const agents = page.getByRole("region", { name: "Agents" }).getByRole("listitem");
  expect(await agents.count()).toBe(17);
  expect(await agents.filter({ hasText: "idle" }).count()).toBe(17);
  await page.getByText("17 of 17 healthy").waitFor();
});

test("a run that starts elsewhere appears by itself; its controls work and cancel asks first", async () => {
  const page = await open();
  const { id, title } = await startDemo();
  await page.getByRole("heading", { name: title, level: 1 }).waitFor();
  const card = page.getByRole("region", { name: title });
  await card.getByText(id).waitFor();
  await card.getByRole("button", { name: "Resume" }).click();
  await card.getByText("running", { exact: true }).waitFor();
  await page.locator(".node.s-succeeded, .node.s-running").first().waitFor();
  await page.getByRole("region", { name: "Journal" }).getByText("task.started").first().waitFor();

  await card.getByRole("button", { name: "Cancel…" }).click();
  await page.getByRole("button", { name: "Keep it running" }).click();
  expect((await supervisor.get<WorkflowView>(`/workflows/${id}`)).status).toBe("running");
  await card.getByRole("button", { name: "Cancel…" }).click();
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await card.getByText("cancelled", { exact: true }).waitFor();
  expect((await supervisor.get<WorkflowView>(`/workflows/${id}`)).status).toBe("cancelled");
});

test("the keyboard reaches a task, opens it, and comes back; the address keeps it", async () => {
  const { id } = await startDemo();
  const page = await open(`/?workflow=${id}`);
  const node = page.locator(".node").last();
  await node.focus();
  await page.keyboard.press("Enter");
  const panel = page.getByRole("complementary", { name: "Task" });
  await panel.getByText("Why it is not running").waitFor();
  const key = await node.getAttribute("data-task");
  expect(new URL(page.url()).searchParams.get("task")).toBe(key);

  await page.reload();
  await panel.getByRole("heading", { level: 2 }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("complementary", { name: "Journal" }).waitFor();
  expect(new URL(page.url()).searchParams.get("task")).toBeNull();
  expect(await page.evaluate(() => document.activeElement?.getAttribute("data-task"))).toBe(key);
});

test("the graph has a list twin with the same tasks", async () => {
  const { id } = await startDemo();
  const page = await open(`/?workflow=${id}`);
  await page.locator(".node .node-title").first().waitFor();
  const drawn = await page.locator(".node .node-title").allTextContents();
  await page.getByRole("button", { name: "List", exact: true }).click();
  await page.locator(".task-list .task-title").first().waitFor();
  const listed = await page.locator(".task-list .task-title").allTextContents();
  expect(listed.toSorted()).toEqual(drawn.toSorted());
  expect(new URL(page.url()).searchParams.get("view")).toBe("list");
});

test("the journal is filtered", async () => {
  const { id } = await startDemo();
  const page = await open(`/?workflow=${id}`);
  const journal = page.getByRole("region", { name: "Journal" });
  await journal.getByRole("listitem").first().waitFor();
  await journal.getByRole("searchbox").fill("no-entry-holds-this");
  await journal.getByText("No entry matches the filter.").waitFor();
});

test("a run that does not exist is said to be so, with a way out", async () => {
  await startDemo();
  const page = await open("/?workflow=never-was");
  await page.getByRole("heading", { name: "There is no such run" }).waitFor();
  await page.getByRole("button", { name: "Show the newest run" }).click();
  await page.locator("section.run").waitFor();
});

test("on a phone the page is no wider than the screen, and a task opens over it", async () => {
  const { id } = await startDemo();
  const page = await open(`/?workflow=${id}`, PHONE);
  const first = page.locator(".task-list a").first();
  await first.waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(PHONE.width);
  expect(await page.locator(".graph").isVisible()).toBe(false);
  await first.click();
  await page.getByRole("complementary", { name: "Task" }).getByText("Action").waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(PHONE.width);
  await page.getByRole("button", { name: "Close task details" }).click();
});

test("the tree of actors opens, shows a statechart with its active state, and its transitions", async () => {
  await supervisor.post("/inspection", { mode: "off" });
  const page = await open();
  const actors = page.getByRole("region", { name: "Actors" });
  await actors.getByRole("link", { name: "DIRECTOR", exact: true }).waitFor();
  await actors.getByRole("button", { name: "Lossless" }).click();
  await actors.getByRole("button", { name: "Lossless", pressed: true }).waitFor();
  expect(await supervisor.get("/inspection")).toMatchObject({ mode: "lossless" });

  const root = actors.getByRole("button", { name: "What is below root" });
  await root.press("Enter");
  expect(await root.getAttribute("aria-expanded")).toBe("false");
  expect(await actors.getByRole("link", { name: "DIRECTOR", exact: true }).count()).toBe(0);
  await root.press("Enter");

  await actors.getByRole("link", { name: "DIRECTOR", exact: true }).click();
  const panel = page.getByRole("complementary", { name: "Actor" });
  await panel.getByRole("group", { name: "State running, active" }).waitFor();
  expect(new URL(page.url()).searchParams.get("actor")).toBe("/root/agents/DIRECTOR");
  await supervisor.post("/agents/DIRECTOR/kill");
  await panel.getByText("child.exited", { exact: true }).first().waitFor();
  await page.keyboard.press("Escape");
  await panel.waitFor({ state: "detached" });
  await supervisor.post("/inspection", { mode: "off" });
});

test("on a phone the actors fit, and a statechart opens over the page", async () => {
  const page = await open("/?actor=%2Froot%2Fagents", PHONE);
  const panel = page.getByRole("complementary", { name: "Actor" });
  await panel.getByRole("group", { name: "State running, active" }).waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(PHONE.width);
  await page.getByRole("button", { name: "Close actor details" }).click();
  await page.getByRole("group", { name: "Inspection" }).waitFor();
});

test("the page says when it lost the server, comes back by itself, and has missed nothing", async () => {
  const { id } = await startDemo();
  const { hostname, port } = new URL(supervisor.url);
  await using proxy = await openTcpProxy({ host: hostname, port: Number(port) });
  const page = await open(`/?workflow=${id}`, DESKTOP, `http://127.0.0.1:${proxy.port}`);
  proxy.cut();
  await page.getByText("Reconnecting…").waitFor();
  await supervisor.post(`/workflows/${id}/cancel`);
  proxy.heal();
  await page.getByText("Live", { exact: true }).waitFor();
  await page.locator("section.run").getByText("cancelled", { exact: true }).waitFor();
});

test("the browser had nothing to complain about", () => {
  expect(complaints).toEqual([]);
});
