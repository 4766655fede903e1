/**
 * Plans and dry runs of a real supervisor process, over HTTP.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { planView, simulationView } from "../../http/plan-schemas.ts";
import type { PlanView, SimulationView, WorkflowView } from "../../runtime/system.ts";
import { type SupervisorProcess, startSupervisor } from "../support/supervisor.ts";

let supervisor: SupervisorProcess;
let dataDir: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "spectra-plans-"));
  supervisor = await startSupervisor(["--data-dir", dataDir]);
}, 120_000);

afterAll(async () => {
  supervisor?.kill("SIGTERM");
  await supervisor?.exited;
  await rm(dataDir, { recursive: true, force: true });
}, 60_000);

function planOf(id: string): Promise<PlanView> {
  return supervisor.get<PlanView>(`/workflows/${id}/plan`);
}

const profile = (title: string) => ({
  do: "DATASCIENCE.profile_text",
  title,
  with: { text: { $param: "text" } },
  timeouts: { startToCloseMs: 90_000_000 },
});

/** Two tasks side by side, one after them; nothing of it is ever started. */
const definition = {
  id: "dry",
  title: "Dry",
  params: ["text"],
  maxParallel: 2,
  statechart: {
    initial: "main",
    states: {
      main: { invoke: { src: "main", id: "main", onDone: "completed", onError: "failed" } },
      completed: { type: "final" },
      failed: { type: "final" },
    },
  },
  stages: {
    main: {
      title: "Main",
      tasks: {
        ask: profile("Asks"),
        nap: profile("Naps"),
        last: { ...profile("Ends"), after: ["ask", "nap"] },
      },
    },
  },
};

test("a plan before the start needs no run, and has a dry run with it", async () => {
  const before = await supervisor.get<{ items: readonly WorkflowView[] }>("/workflows");
  const { plan, dryRun } = await supervisor.post<{ plan: PlanView; dryRun: SimulationView }>(
    "/workflows/plan",
    { workflow: "phase1" },
  );
  expect(() => planView.parse(plan)).not.toThrow();
  expect(() => simulationView.parse(dryRun)).not.toThrow();
  expect(plan).toMatchObject({ workflowId: null, status: "planned", complete: true });
  expect(plan.criticalPath.length).toBeGreaterThan(2);
  expect(plan.tasks.every(({ slackMs }) => slackMs >= 0)).toBe(true);
  expect(plan.groups.flatMap(({ tasks }) => tasks).length).toBe(plan.tasks.length);
  expect(dryRun).toMatchObject({ status: "completed", unfinished: [] });
  expect(dryRun.attempts.length).toBe(plan.tasks.length);
  const after = await supervisor.get<{ items: readonly WorkflowView[] }>("/workflows");
  expect(after.items.length).toBe(before.items.length);
});

test("simulate takes durations, failures and what never comes from the caller", async () => {
  const dry = (tasks: object) =>
    supervisor.post<SimulationView>("/workflows/simulate", {
      workflow: definition,
      input: { text: "A text." },
      tasks,
    });
  const nap = { durationMs: 86_400_000 };
  const good = await dry({
    ask: { durationMs: 1_000, fail: [{ attempt: 1, code: "BUSY" }] },
    nap,
    last: { durationMs: 500, output: { words: 2 } },
  });
  expect(good).toMatchObject({ status: "completed", makespanMs: 86_400_500, unfinished: [] });
  expect(good.attempts.map(({ code, task }) => [task, code])).toEqual([
    ["ask", "BUSY"],
    ["ask", null],
    ["nap", null],
    ["last", null],
  ]);
  expect(good.placeholders).toEqual([]);
  expect(good.agents).toMatchObject([{ agent: "DATASCIENCE", attempts: 4, busyMs: 86_402_500 }]);
  expect(good.journal.map(({ type }) => type)).toContain("task.retrying");
  const refused = await dry({ ask: { fail: [{ code: "NO", retryable: false }] } });
  expect(refused).toMatchObject({ status: "failed", error: { code: "NO" } });
  const waits = await dry({ nap, last: { never: true } });
  expect(waits).toMatchObject({
    status: "running",
    unfinished: [{ task: "last", status: "running" }],
  });
  await expect(dry({ nobody: {} })).rejects.toThrow(/no task nobody/);
});

test("a run's plan follows it, and its durations are what the next plan is made of", async () => {
  const { id } = await supervisor.post<WorkflowView>("/workflows", {
    workflow: "demo",
    startPaused: true,
  });
  const first = await planOf(id);
  expect(() => planView.parse(first)).not.toThrow();
  expect(first.finish).not.toBeNull();
  expect(first.tasks.every(({ source }) => source === "guess")).toBe(true);
  await supervisor.post(`/workflows/${id}/resume`, {});
  await vi.waitFor(async () => expect((await planOf(id)).status).toBe("completed"), {
    timeout: 60_000,
    interval: 200,
  });
  const over = await planOf(id);
  expect(over).toMatchObject({ finish: null, remainingMs: null });
  expect(over.tasks.every(({ source }) => source === "actual")).toBe(true);
  const next = async () =>
    (await supervisor.post<{ plan: PlanView }>("/workflows/plan", { workflow: "demo" })).plan;
  await vi.waitFor(
    async () => {
      const { tasks } = await next();
      expect(
        tasks.every(({ observations, source }) => source === "task" && observations >= 1),
      ).toBe(true);
    },
    { timeout: 30_000, interval: 500 },
  );
  const { finish } = await next();
  expect(finish?.lowAt.localeCompare(finish.highAt)).toBeLessThan(0);
}, 120_000);

test("a run that does not exist has no plan", async () => {
  await expect(planOf("nobody")).rejects.toThrow(/answered 404: .*Cannot find workflow/);
});
