/**
 * The page behind an approval's token, as a person uses it in a real browser, and as a program does.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isApprovalPath } from "../../http/routes/approval-page.ts";
import type { ApprovalView, JournalEntry, TaskView, WorkflowView } from "../../runtime/system.ts";
import { launchBrowser } from "../support/browser.ts";
import { type SupervisorProcess, startSupervisor } from "../support/supervisor.ts";

let supervisor: SupervisorProcess;
let dataDir: string;
let browser: Browser;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "spectra-approval-"));
  supervisor = await startSupervisor(["--data-dir", dataDir]);
  browser = await launchBrowser();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  supervisor?.kill("SIGTERM");
  await supervisor?.exited;
  await rm(dataDir, { recursive: true, force: true });
}, 60_000);

async function call<T>(path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${supervisor.url}/api/v1${path}`, {
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    headers: { "content-type": "application/json" },
  });
  expect(response.status, await response.clone().text()).toBeLessThan(300);
  return (await response.json()) as T;
}

/** A run that waits for an approval; its title holds what must be escaped. */
async function ask(timeouts: object = {}): Promise<{ id: string; path: string }> {
  const definition = {
    id: "publish",
    title: "Publish the album",
    params: ["album"],
    tasks: { sign: { approval: { title: "Publish <album> & tell?" }, ...timeouts } },
  };
  const { id } = await call<WorkflowView>("/workflows", {
    workflow: definition,
    input: { album: "Mountains" },
  });
  const read = async () =>
    (await call<{ items: ApprovalView[] }>(`/workflows/${id}/approvals`)).items;
  await expect.poll(read, { timeout: 20_000 }).toHaveLength(1);
  return { id, path: (await read())[0]?.path ?? "" };
}

function post(path: string, form: Record<string, string>, headers: Record<string, string> = {}) {
  return fetch(supervisor.url + path, {
    method: "POST",
    body: new URLSearchParams(form),
    headers,
    redirect: "manual",
  });
}

async function signTask(id: string): Promise<TaskView | undefined> {
  return (await call<{ items: TaskView[] }>(`/workflows/${id}/tasks`)).items[0];
}

async function open(path: string, width: number, colorScheme: "light" | "dark"): Promise<Page> {
  const context = await browser.newContext({ viewport: { width, height: 844 }, colorScheme });
  const page = await context.newPage();
  await page.goto(supervisor.url + path);
  return page;
}

test("a person approves with a comment, on a phone", async () => {
  const { id, path } = await ask();
  const page = await open(path, 390, "dark");
  await page.getByRole("heading", { name: "Publish <album> & tell?", level: 1 }).waitFor();
  await page.getByText("Mountains").waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  await page.getByLabel("Comment").fill("Looks fine to me");
  await page.getByLabel("Your name").fill("Ada");
  await page.getByRole("button", { name: "Approve" }).press("Enter");
  await page.getByText("Approved", { exact: true }).waitFor();
  await page.getByText("Looks fine to me").waitFor();
  expect(await page.getByRole("button").count()).toBe(0);
  await page.reload();
  await page.getByText("Approved", { exact: true }).waitFor();

  await expect
    .poll(() => signTask(id))
    .toMatchObject({
      status: "succeeded",
      output: { approved: true, payload: { comment: "Looks fine to me" } },
    });
  const journal = await call<{ items: JournalEntry[] }>(`/workflows/${id}/history`);
  expect(journal.items.find(({ type }) => type === "task.resolved")).toMatchObject({
    actor: "approval page (Ada)",
    payload: { as: "succeeded", reason: "Looks fine to me" },
  });
});

test("looking decides nothing, a page of another site may not decide, the same decision twice is one", async () => {
  const { id, path } = await ask();
  for (const query of ["", "?decision=approve"]) {
    expect((await fetch(supervisor.url + path + query)).status).toBe(200);
  }
  const yes = { decision: "approve", comment: "", name: "" };
  const foreign = await post(path, yes, { origin: "https://evil.example" });
  expect(foreign.status).toBe(403);
  expect((await signTask(id))?.status).toBe("running");

  const [one, two] = await Promise.all([post(path, yes), post(path, yes)]);
  expect([one?.status, two?.status]).toEqual([303, 303]);
  expect((await post(path, yes)).status).toBe(303);
  const other = await post(path, { ...yes, decision: "reject" });
  expect(other.status).toBe(409);
  expect(await other.text()).toContain("somebody had decided before");
  const journal = await call<{ items: JournalEntry[] }>(`/workflows/${id}/history`);
  expect(journal.items.filter(({ type }) => type === "task.resolved")).toHaveLength(1);
});

test("a rejection fails the task with the comment", async () => {
  const { id, path } = await ask();
  const page = await open(path, 1440, "light");
  await page.getByLabel("Comment").fill("Not yet");
  await page.getByRole("button", { name: "Reject" }).click();
  await page.getByText("Rejected", { exact: true }).waitFor();
  await expect
    .poll(() => signTask(id))
    .toMatchObject({ status: "failed", error: { code: "REJECTED" } });
  expect((await signTask(id))?.error?.message).toContain("Not yet");
});

test("what cannot be decided says why: unknown, expired, cancelled, nothing chosen", async () => {
  const unknown = await fetch(`${supervisor.url}/approvals/never-was`);
  expect(unknown.status).toBe(404);
  expect(await unknown.text()).toContain("There is no such approval");
  expect((await post("/approvals/never-was", { decision: "approve" })).status).toBe(404);

  const late = await ask({ timeouts: { scheduleToCloseMs: 2_000 } });
  await expect
    .poll(async () => (await fetch(supervisor.url + late.path)).text(), { timeout: 20_000 })
    .toContain("Nobody decided in time");
  expect((await post(late.path, { decision: "approve" })).status).toBe(409);

  const { id, path } = await ask();
  const nothing = await post(path, { comment: "hm" });
  expect(nothing.status).toBe(422);
  expect(await nothing.text()).toContain("press Approve or Reject");
  const long = await post(path, { decision: "approve", comment: "x".repeat(1_001) });
  expect(long.status).toBe(422);
  await call(`/workflows/${id}/cancel`, {});
  const text = async () => (await fetch(supervisor.url + path)).text();
  await expect.poll(text, { timeout: 20_000 }).toContain("No longer asked for");
});

test("the page has its own policy: a form to this server, and no script", async () => {
  const { path } = await ask();
  const answer = await fetch(supervisor.url + path);
  expect(answer.headers.get("content-security-policy")).toContain("form-action 'self'");
  expect(answer.headers.get("content-security-policy")).not.toContain("script-src");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  const dashboard = await fetch(`${supervisor.url}/docs`);
  expect(dashboard.headers.get("content-security-policy")).toContain("form-action 'none'");
});

test("no API token is asked for behind an approval's token, and for nothing else", () => {
  expect(isApprovalPath("/approvals/abc")).toBe(true);
  for (const path of ["/", "/approvals/", "/approvals/a/b", "/api/v1/approvals/abc"]) {
    expect(isApprovalPath(path), path).toBe(false);
  }
});
