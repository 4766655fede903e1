/**
 * What waits for a person, and how the person decides, in a real browser: a parked task, an approval,
 * a pause that drains, a parked run.
 *
 * @module
 */

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { WorkflowView } from "../../runtime/system.ts";
import { launchBrowser } from "../support/browser.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import {
  historyOf,
  type SupervisorProcess,
  startSupervisor,
  tasksOf,
} from "../support/supervisor.ts";

const MODULE = `
import { capability, defineAgent, defineWorkflow, z } from "spectra-orchestrator";

export const agent = defineAgent({
  name: "POST",
  capabilities: {
    send: capability({
      input: z.object({}),
      output: z.object({ sent: z.boolean() }),
      connections: 0,
      run: (ctx) =>
        new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason))),
    }),
  },
});

export const workflow = defineWorkflow({
  id: "letter",
  title: "A letter",
  tasks: {
    send: { do: "POST.send", title: "Send the letter", delivery: "atMostOnce" },
    sign: { approval: { title: "Publish the letter?" }, title: "Sign", after: ["send"] },
    told: { signal: "go", title: "Be told", after: ["sign"] },
  },
});
`;

let supervisor: SupervisorProcess;
let database: TestDatabase;
let folder: string;
let browser: Browser;

async function startNode(): Promise<void> {
  const args = ["--data-dir", join(folder, "data"), "--agents", join(folder, "modules")];
  supervisor = await startSupervisor(args, { DATABASE_URL: database.url });
}

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), "spectra-decide-"));
  await mkdir(join(folder, "modules"));
  await writeFile(join(folder, "modules", "post.ts"), MODULE);
  await startNode();
  browser = await launchBrowser();
}, 120_000);

afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});

afterAll(async () => {
  await browser?.close();
  supervisor?.kill("SIGTERM");
  await supervisor?.exited;
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

async function open(id: string, width = 1440): Promise<Page> {
  const page = await browser.newPage({ viewport: { width, height: 900 }, reducedMotion: "reduce" });
  page.setDefaultTimeout(60_000);
  await page.goto(`${supervisor.url}/?workflow=${id}`);
  await page.getByText("Live", { exact: true }).waitFor();
  return page;
}

async function statusOf(id: string, key: string): Promise<string | undefined> {
  return (await tasksOf(supervisor, id)).find((task) => task.key === key)?.status;
}

async function start(): Promise<string> {
  const { id } = await supervisor.post<WorkflowView>("/workflows", { workflow: "letter" });
  await expect.poll(() => statusOf(id, "send"), { timeout: 60_000 }).toBe("running");
  return id;
}

async function widthOf(page: Page): Promise<number> {
  return await page.evaluate(() => document.documentElement.scrollWidth);
}

test("a pause tells what is still at work, and a task that nobody knows the end of needs you", async () => {
  const id = await start();
  const page = await open(id);
  const card = page.getByRole("region", { name: "A letter" });
  await card.getByRole("button", { name: "Pause" }).click();
  await card.getByText("Draining: 0 of 1 ended, 1 still at work").waitFor();
  await supervisor.post("/agents/POST/kill");
  await card.getByText("Drained: no agent is at work for it").waitFor();

  const needs = page.getByRole("region", { name: "1 task needs you" });
  await needs.getByText("AMBIGUOUS").waitFor();
  await needs.getByText("Cannot know whether").waitFor();
  expect(await needs.getByRole("button").allTextContents()).toEqual([
    "Run again…",
    "Succeeded…",
    "Failed…",
    "Skip…",
  ]);
  await needs.getByRole("link", { name: "Send the letter" }).click();
  const panel = page.getByRole("complementary", { name: "Task" });
  await panel.getByText("waits for an operator's decision").waitFor();
  await card.getByRole("button", { name: "Resume" }).click();

  await panel.getByRole("button", { name: "Succeeded…" }).click();
  const dialog = page.getByRole("dialog", { name: "Succeeded: Send the letter" });
  await dialog.getByLabel("Output as JSON").fill("{sent");
  await dialog.getByRole("button", { name: "Do it" }).click();
  await dialog.getByText("Is not JSON").waitFor();
  await dialog.getByLabel("Output as JSON").fill('{"sent":true}');
  await dialog.getByLabel("Reason").fill("the addressee has it");
  await dialog.getByRole("button", { name: "Do it" }).click();
  await dialog.waitFor({ state: "detached" });
  await expect.poll(() => statusOf(id, "send"), { timeout: 60_000 }).toBe("succeeded");
  const decided = (await historyOf(supervisor, id)).find(({ type }) => type === "task.resolved");
  expect(decided?.payload).toMatchObject({ as: "succeeded", reason: "the addressee has it" });
}, 180_000);

test("an approval leads to its page, a wait says what for, and is skipped on a phone", async () => {
  const id = await start();
  await supervisor.post("/agents/POST/kill");
  await expect.poll(() => statusOf(id, "send"), { timeout: 60_000 }).toBe("parked");
  const page = await open(id, 390);
  const needs = page.getByRole("region", { name: "1 task needs you" });
  await needs.getByRole("button", { name: "Skip…" }).waitFor();
  expect(await widthOf(page)).toBe(390);
  await needs.getByRole("button", { name: "Skip…" }).click();
  await page.getByRole("button", { name: "Do it" }).click();

  await needs.getByText("Publish the letter?").waitFor();
  const [decision] = await Promise.all([
    page.waitForEvent("popup"),
    needs.getByRole("link", { name: "Approve or reject…" }).click(),
  ]);
  await decision.getByRole("button", { name: "Approve" }).click();
  await decision.getByText("Approved", { exact: true }).waitFor();
  await needs.waitFor({ state: "detached" });

  await page.locator(".task-list a", { hasText: "Be told" }).click();
  const panel = page.getByRole("complementary", { name: "Task" });
  await panel.getByText("What it waits for").waitFor();
  expect(await widthOf(page)).toBe(390);
  expect(await panel.locator(".actions").getByRole("button").allTextContents()).toEqual(["Skip…"]);
  await panel.getByRole("button", { name: "Skip…" }).click();
  await page.getByRole("button", { name: "Do it" }).click();
  await page.locator("section.run").getByText("completed", { exact: true }).waitFor();
  expect(await panel.locator(".actions").count()).toBe(0);
}, 180_000);

test("a run that cannot be restored needs you, with its reason; it goes on once that is mended", async () => {
  const id = await start();
  const { sql } = database;
  const [stored] = await sql`select extras::text from spectra.workflows where id = ${id}`;
  supervisor.kill("SIGTERM");
  await supervisor.exited;
  await sql`update spectra.workflows set extras = jsonb_set(extras, '{chart,value}', '"nowhere"')
    where id = ${id}`;
  await startNode();
  const page = await open(id);
  const needs = page.getByRole("region", { name: "This run needs you" });
  await needs.getByText("RUN_UNREADABLE").waitFor();
  await needs.getByText('the chart has no state "nowhere"').waitFor();
  const card = page.getByRole("region", { name: "A letter" });
  await card.getByText("needs you", { exact: true }).waitFor();
  expect(await card.locator(".controls").getByRole("button").allTextContents()).toEqual([
    "Let it go on",
  ]);
  await page.setViewportSize({ width: 390, height: 844 });
  expect(await widthOf(page)).toBe(390);

  await card.getByRole("button", { name: "Let it go on" }).click();
  await card.getByRole("alert").getByText("Cannot confirm the command yet").waitFor();
  await needs.waitFor();
  const extras = String(stored?.["extras"]);
  await sql`update spectra.workflows set extras = ${extras}::text::jsonb where id = ${id}`;
  await card.getByRole("button", { name: "Let it go on" }).click();
  await card.getByText("running", { exact: true }).waitFor();
  await needs.waitFor({ state: "detached" });
}, 240_000);
