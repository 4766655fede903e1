/**
 * What the dashboard offers to start where a folder has workflows, and what it says of a run that has ended.
 *
 * @module
 */

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Page as Items, KnownWorkflow, WorkflowView } from "../../runtime/system.ts";
import { launchBrowser } from "../support/browser.ts";
import { type SupervisorProcess, startSupervisor } from "../support/supervisor.ts";

const MODULE = `
import { capability, defineAgent, defineWorkflow, param, z } from "spectra-orchestrator";

export const agent = defineAgent({
  name: "GREETER",
  capabilities: {
    greet: capability({
      input: z.object({ name: z.string().describe("Who is greeted"), times: z.int().min(1) }),
      output: z.object({ text: z.string() }),
      connections: 0,
      run: async (_ctx, { name, times }) => ({ text: ("Hello " + name + ". ").repeat(times) }),
    }),
  },
});

export const workflow = defineWorkflow({
  id: "greeting",
  title: "A greeting",
  params: ["name", "times"],
  tasks: {
    greet: { do: "GREETER.greet", title: "Greet", with: { name: param("name"), times: param("times") } },
  },
});
`;

let supervisor: SupervisorProcess;
let folder: string;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spectra-start-"));
  const modules = join(folder, "modules");
  await mkdir(modules);
  await writeFile(join(modules, "greeter.ts"), MODULE);
  supervisor = await startSupervisor(["--data-dir", join(folder, "data"), "--agents", modules]);
  browser = await launchBrowser();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  supervisor?.kill("SIGTERM");
  await supervisor?.exited;
  await rm(folder, { recursive: true, force: true });
}, 60_000);

test("the API knows the user's workflow first, with the schema of its input", async () => {
  const { items } = await supervisor.get<Items<KnownWorkflow>>("/definitions");
  expect(items.map(({ id, origin }) => [id, origin])).toEqual([
    ["greeting", "folder"],
    ["phase1", "built-in"],
    ["demo", "built-in"],
  ]);
  expect(items[0]?.inputSchema).toMatchObject({
    properties: { name: { type: "string" }, times: { type: "integer", minimum: 1 } },
    required: ["name", "times"],
  });
  expect(items[1]?.inputSchema).toMatchObject({ required: [] });
});

test("a start with a wrong input is refused before a run exists, all mistakes at once", async () => {
  const response = await fetch(`${supervisor.url}/api/v1/workflows`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ workflow: "greeting", input: { name: 7, times: 0, extra: 1 } }),
  });
  expect(response.status).toBe(422);
  expect(await response.json()).toMatchObject({
    detail: 'Cannot start workflow "greeting": 3 mistakes in its input',
    errors: [
      { pointer: "/input/extra" },
      { pointer: "/input/name", detail: expect.stringContaining("expected string") },
      { pointer: "/input/times", detail: expect.stringContaining(">=1") },
    ],
  });
  expect(await supervisor.get("/workflows")).toMatchObject({ items: [] });
});

test("the page starts the user's workflow with its input, and tells what is wrong at the field", async () => {
  const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
  await page.goto(supervisor.url);
  await page.getByText("Workflows of your folder: A greeting").waitFor();
  expect(await page.getByRole("button", { name: "Start Phase 1" }).count()).toBe(0);
  await page.getByRole("button", { name: "Start a workflow…" }).click();
  const dialog = page.getByRole("dialog", { name: "Start a workflow" });
  await dialog.getByText("Who is greeted").waitFor();
  await dialog.getByLabel("times").fill("0");
  await dialog.getByRole("button", { name: "Start", exact: true }).click();
  await dialog.getByText('Cannot start workflow "greeting": 2 mistakes in its input').waitFor();
  await dialog.getByText("is required").waitFor();
  expect(await dialog.getByLabel("times").getAttribute("aria-invalid")).toBe("true");
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);

  await dialog.getByLabel("name").fill("Ada");
  await dialog.getByLabel("times").fill("2");
  await dialog.getByRole("button", { name: "Start", exact: true }).click();
  await page.locator("section.run").getByText("completed", { exact: true }).waitFor();
  const { items } = await supervisor.get<Items<WorkflowView>>("/workflows");
  expect(items).toMatchObject([{ workflow: "greeting", input: { name: "Ada", times: 2 } }]);
  await page.close();
});

test("the actor page of a run that has ended shows its statechart, and leads to the run", async () => {
  const { items } = await supervisor.get<Items<WorkflowView>>("/workflows");
  const id = items[0]?.id ?? "";
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(`${supervisor.url}/?actor=/root/workflows/${id}`);
  const panel = page.getByRole("complementary", { name: "Actor" });
  await panel.getByText("This is a workflow run. It is completed").waitFor();
  await panel.getByRole("group", { name: "State completed, active" }).waitFor();
  await panel.getByRole("link", { name: "Show the run and its tasks" }).click();
  await panel.waitFor({ state: "detached" });
  expect(new URL(page.url()).searchParams.get("workflow")).toBe(id);
  await page.close();
});

test("an agent's statechart names those of its lifecycle and its thread, and so does its page", async () => {
  const { links } = await supervisor.get<{ links: { address: string; href: string }[] }>(
    "/actors/root/agents/DIRECTOR/machine",
  );
  expect(links.map(({ address }) => address).sort()).toEqual([
    "/root/agents/DIRECTOR/lifecycle",
    "/root/agents/DIRECTOR/thread",
  ]);
  for (const { href, address } of links) {
    const response = await fetch(supervisor.url + href);
    expect(await response.json()).toMatchObject({ address });
  }
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(`${supervisor.url}/?actor=/root/agents/GREETER`);
  const panel = page.getByRole("complementary", { name: "Actor" });
  await panel.getByRole("link", { name: "lifecycle" }).click();
  await panel.getByRole("heading", { name: "Statechart agent" }).waitFor();
  await page.goto(`${supervisor.url}/?actor=/root/bus`);
  await panel.getByText("It follows no statechart of its own").waitFor();
  await page.close();
});
