/**
 * Every command of an operator over HTTP and by the command line, against a real supervisor process.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type {
  ApprovalView,
  CommandedRun,
  Page,
  RunStateView,
  TaskView,
  WorkflowView,
} from "../../runtime/system.ts";
import { builtMain } from "../support/build.ts";
import { soon } from "../support/soon.ts";
import { historyOf, type SupervisorProcess, startSupervisor } from "../support/supervisor.ts";

let supervisor: SupervisorProcess;
let dataDir: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "spectra-controls-"));
  supervisor = await startSupervisor(["--data-dir", dataDir]);
}, 180_000);

afterAll(async () => {
  supervisor?.kill("SIGTERM");
  await supervisor?.exited;
  await rm(dataDir, { recursive: true, force: true });
}, 60_000);

/** Waits for a person, a signal and time; what follows the signal fails unless its payload is text. */
const definition = (id: string, onFailure: "fail" | "escalate" = "escalate") => ({
  id,
  tasks: {
    sign: { approval: { title: "Sign it" } },
    told: { signal: "go" },
    nap: { sleepMs: 86_400_000 },
    profile: {
      do: "DATASCIENCE.profile_text",
      after: ["told"],
      with: { text: { $output: "told", path: "text" } },
      retry: { attempts: 1 },
      onFailure,
    },
  },
});

async function begin(body: object = { workflow: definition("steered") }): Promise<string> {
  const { id } = await supervisor.post<WorkflowView>("/workflows", body);
  await until(id, "running");
  return id;
}

async function until(id: string, status: WorkflowView["status"]): Promise<void> {
  await soon(async () => (await supervisor.get<WorkflowView>(`/workflows/${id}`)).status).toBe(
    status,
  );
}

const stateOf = (id: string) => supervisor.get<RunStateView>(`/workflows/${id}/state`);

async function taskOf(id: string, key: string): Promise<TaskView | undefined> {
  const { items } = await supervisor.get<Page<TaskView>>(`/workflows/${id}/tasks`);
  return items.find((task) => task.key === key);
}

interface Answer {
  readonly status: number;
  readonly body: {
    readonly code?: string;
    readonly detail?: string;
    readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
  } & Readonly<Record<string, unknown>>;
}

async function send(path: string, body?: unknown, key?: string, method = "POST"): Promise<Answer> {
  const response = await fetch(`${supervisor.url}/api/v1${path}`, {
    method,
    headers: {
      "content-type": "application/json",
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

/** One problem: its code, one sentence that begins with "Cannot", and each wrong field. */
async function refused(
  [path, body, key]: readonly [path: string, body?: unknown, key?: string],
  code: string,
  ...pointers: readonly string[]
): Promise<void> {
  const answer = await send(path, body, key);
  const found = {
    path,
    code: answer.body.code,
    pointers: answer.body.errors?.map((e) => e.pointer),
  };
  expect(found).toEqual({ path, code, pointers: pointers.length === 0 ? undefined : pointers });
  expect(answer.body.detail).toMatch(/^Cannot [^\n]+$/);
  for (const { detail } of answer.body.errors ?? []) expect(detail.length).toBeGreaterThan(5);
}

let keys = 0;

/** Sent twice under a key it is one command, of which the journal has one entry with who and why. */
async function commanded(path: string, body: object, id: string, type: string): Promise<void> {
  const key = `key-${(keys += 1)}`;
  const count = async () => (await historyOf(supervisor, id)).filter((e) => e.type === type).length;
  const before = await count();
  const reason = `why ${type}`;
  const first = await send(path, { ...body, reason }, key);
  expect({ path, body: first.body }).toMatchObject({
    path,
    body: { id, command: { taken: true, refusal: null, entry: { type } } },
  });
  expect(first.status).toBe(200);
  const again = await send(path, { ...body, reason }, key);
  expect(again.body["command"]).toEqual(first.body["command"]);
  expect(await count()).toBe(before + 1);
  const { command } = first.body as unknown as CommandedRun;
  const entry = (await historyOf(supervisor, id)).find(({ seq }) => seq === command.entry?.seq);
  expect(entry).toMatchObject({ type, actor: "api", payload: { reason } });
  await refused([path, { ...body, reason: "another" }, key], "INVALID", "/idempotency-key");
}

async function spectra(...args: readonly string[]): Promise<{ code: number; out: string }> {
  const child = spawn(process.execPath, [builtMain, ...args, "--data-dir", dataDir], {
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

const slow = { timeout: 180_000 };

describe("commands over HTTP", slow, () => {
  test("each is taken once by its key, and stands in the journal with who and why", async () => {
    const id = await begin();
    const run = `/workflows/${id}`;
    await commanded(`${run}/pause`, { clocks: "run" }, id, "run.paused");
    expect((await stateOf(id)).pause).toMatchObject({ clocks: "run", drained: true });
    await commanded(`${run}/resume`, {}, id, "run.resumed");
    await commanded(`${run}/priority`, { priority: 5 }, id, "run.priority");
    await commanded(`${run}/tasks/profile/priority`, { priority: 1 }, id, "task.priority");
    await commanded(`${run}/tasks/profile/run-now`, {}, id, "task.urgent");
    await commanded(`${run}/tasks/nap/skip`, {}, id, "task.skipped");
    await commanded(`${run}/signals`, { name: "other", payload: [1] }, id, "signal.received");
    expect((await stateOf(id)).signals).toMatchObject([{ name: "other", payload: [1] }]);
    await supervisor.post(`${run}/signals`, { name: "go", payload: { text: 5 } });
    await soon(async () => (await stateOf(id)).parked.map(({ task }) => task)).toEqual(["profile"]);
    const output = { by: "hand" };
    const resolve = { as: "succeeded", output };
    await commanded(`${run}/tasks/profile/resolve`, resolve, id, "task.resolved");
    expect(await taskOf(id, "profile")).toMatchObject({ status: "succeeded", output });
    const { items } = await supervisor.get<Page<ApprovalView>>(`${run}/approvals`);
    expect(items).toMatchObject([{ task: "sign", title: "Sign it" }]);
    const path = `/approvals/${items[0]?.token}`;
    const decision = { decision: "approve", payload: 7, reason: "fits" };
    const first = await send(path, decision);
    expect(first.body).toMatchObject({ command: { taken: true } });
    expect((await send(path, decision)).body["command"]).toEqual(first.body["command"]);
    await refused([path, { decision: "reject" }], "CONFLICT");
    await until(id, "completed");
    expect(await send("/system/audit")).toEqual({ status: 200, body: { items: [] } });
  });

  test("cancel and retry", async () => {
    const id = await begin({ workflow: definition("broken", "fail") });
    const run = `/workflows/${id}`;
    await refused([`${run}/retry`], "CONFLICT");
    await commanded(`${run}/cancel`, { graceMs: 100, rollback: false }, id, "run.cancelling");
    await until(id, "cancelled");
    for (const verb of ["pause", "resume", "cancel"]) {
      await refused([`${run}/${verb}`], "CONFLICT");
    }
    await commanded(`${run}/retry`, {}, id, "run.retried");
    await until(id, "running");
    await send(`${run}/signals`, { name: "go", payload: { text: 5 } });
    await until(id, "failed");
    await refused([`${run}/retry`, { task: "nobody" }], "NOT_FOUND");
    await commanded(`${run}/retry`, { task: "profile" }, id, "run.retried");
    await soon(async () => (await taskOf(id, "profile"))?.status).toBe("failed");
  });

  test("an update tells what came of its signal, a refusal too", async () => {
    const id = await begin();
    const path = `/workflows/${id}/updates`;
    const body = { name: "go", payload: { text: "a b" }, reason: "it is time" };
    const first = await send(path, body, "update-1");
    expect(first).toMatchObject({
      status: 200,
      body: {
        workflowId: id,
        name: "go",
        answer: { taken: true, refusal: null },
        entry: { type: "signal.received", payload: { name: "go", reason: "it is time" } },
      },
    });
    expect((await send(path, body, "update-1")).body).toEqual(first.body);
    await soon(async () => (await taskOf(id, "profile"))?.status).toBe("succeeded");
    await send(`/workflows/${id}/cancel`);
    await until(id, "cancelled");
    const late = await send(path, { name: "go" });
    expect(late.body).toMatchObject({ answer: { taken: false, refusal: { code: "CONFLICT" } } });
  });

  test("an unknown run, task, approval or operation is told as such", async () => {
    const id = await begin();
    for (const [operation, body] of [
      ["pause"],
      ["resume"],
      ["cancel"],
      ["retry"],
      ["priority", { priority: 2 }],
      ["budget", { limits: { tasks: 5 } }],
      ["signals", { name: "go" }],
      ["updates", { name: "go" }],
      ["fork", { at: 1 }],
      ["tasks/nap/skip"],
      ["tasks/nap/run-now"],
      ["tasks/nap/priority", { priority: 2 }],
      ["tasks/nap/resolve", { as: "retry" }],
    ] as const) {
      await refused([`/workflows/nobody/${operation}`, body], "NOT_FOUND");
      await refused([`/workflows/no%00body/${operation}`, body], "NOT_FOUND");
      const ofTask = operation.replace("tasks/nap", "tasks/nobody");
      if (ofTask !== operation) await refused([`/workflows/${id}/${ofTask}`, body], "NOT_FOUND");
    }
    await refused(["/approvals/nobody", { decision: "approve" }], "NOT_FOUND");
    for (const path of ["state", "approvals", "snapshot", `diff?with=${id}`]) {
      const { body } = await send(`/workflows/nobody/${path}`, undefined, undefined, "GET");
      expect(body).toMatchObject({ code: "NOT_FOUND", detail: expect.stringMatching(/^Cannot /) });
    }
    const { body } = await send("/bulk/nobody", undefined, undefined, "GET");
    expect(body).toMatchObject({ code: "NOT_FOUND" });
  });

  test("a wrong body names each wrong field; a field of another operation is one", async () => {
    const id = await begin();
    const run = `/workflows/${id}`;
    const invalid: readonly (readonly [string, unknown, ...string[]])[] = [
      [`${run}/pause`, { clocks: "slow", why: 1 }, "/clocks", "/why"],
      [`${run}/resume`, { task: "nap" }, "/task"],
      [`${run}/cancel`, { graceMs: -1, rollback: "yes" }, "/rollback", "/graceMs"],
      [`${run}/retry`, { task: "" }, "/task"],
      [`${run}/priority`, { priority: 9 }, "/priority"],
      [`${run}/priority`, {}, "/priority"],
      [`${run}/signals`, { payload: 1 }, "/name"],
      [`${run}/updates`, { name: "go", reason: 5 }, "/reason"],
      [`${run}/tasks/nap/skip`, { output: 1 }, "/output"],
      [`${run}/tasks/nap/run-now`, { priority: 5 }, "/priority"],
      [`${run}/tasks/nap/priority`, { as: "skip" }, "/priority", "/as"],
      [`${run}/tasks/nap/resolve`, {}, "/as"],
      [`${run}/tasks/nap/resolve`, { as: "skip", output: 1 }, "/output"],
      [`${run}/fork`, { at: 10_000 }, "/at"],
      [`${run}/fork`, { at: 1, stub: ["nap"] }, "/stub"],
      ["/approvals/any", { decision: "maybe" }, "/decision"],
      ["/workflows/bulk", { operation: "delete", filter: { workflow: "x" } }, "/operation"],
      ["/workflows/bulk", { operation: "pause", filter: {} }, "/filter"],
      ["/workflows/bulk", { operation: "pause", filter: { name: "x" } }, "/filter/name", "/filter"],
      ["/workflows/bulk", { operation: "pause", filter: { code: "a\u0000" } }, "/filter/code"],
      [
        "/workflows/bulk",
        { operation: "pause", priority: 2, filter: { since: "now" } },
        "/filter/since",
        "/priority",
      ],
    ];
    for (const [path, body, ...pointers] of invalid) {
      await refused([path, body], "INVALID", ...pointers);
    }
    await refused([`${run}/pause`, {}, "two words"], "INVALID", "/idempotency-key");
    // None of it reached the run.
    const types = (await historyOf(supervisor, id)).map(({ type }) => type);
    expect(
      types.filter((type) => /^(signal|approval\.decided|run\.p|task\.skip)/.test(type)),
    ).toEqual([]);
  });

  test("a task that cannot take the command refuses it with its state", async () => {
    const id = await begin();
    for (const [operation, body] of [
      ["sign/run-now"],
      ["nap/resolve", { as: "succeeded" }],
      ["nap/priority", { priority: 2 }],
    ] as const) {
      await refused([`/workflows/${id}/tasks/${operation}`, body], "CONFLICT");
    }
  });
});

describe("many runs", slow, () => {
  test("a dry run tells what matches; the operation goes to exactly these, once", async () => {
    const ids: string[] = [];
    for (const team of ["a", "a", "b"]) {
      ids.push(await begin({ workflow: definition("herd"), attributes: { team } }));
    }
    const filter = { workflow: "herd", agent: "DATASCIENCE", attributes: { team: "a" } };
    const asked = { operation: "pause", filter, reason: "stand still" };
    const dry = await send("/workflows/bulk", { ...asked, dryRun: true }, "herd-1");
    expect(dry.body).toMatchObject({
      dryRun: true,
      matched: 2,
      statuses: { running: 2 },
      runs: [{ id: ids[0] }, { id: ids[1] }],
    });
    const first = await send("/workflows/bulk", asked, "herd-1");
    expect(first.body).toMatchObject({ id: "herd-1", matched: 2, taken: 2, refused: 0 });
    expect((await send("/workflows/bulk", asked, "herd-1")).body).toEqual(first.body);
    expect((await send("/bulk/herd-1", undefined, undefined, "GET")).body).toEqual(first.body);
    await refused(
      ["/workflows/bulk", { ...asked, operation: "resume" }, "herd-1"],
      "INVALID",
      "/idempotency-key",
    );
    expect(await supervisor.get(`/workflows/${ids[2]}`)).toMatchObject({ status: "running" });

    const matched = async (more: object) => {
      const chosen = { workflow: "herd", ...more };
      const body = { operation: "retry", filter: chosen, dryRun: true };
      return (await send("/workflows/bulk", body)).body["matched"];
    };
    const [, second] = await Promise.all(
      ids.map((id) => supervisor.get<WorkflowView>(`/workflows/${id}`)),
    );
    expect(await matched({ agent: "TESTBED" })).toBe(0);
    expect(await matched({ since: second?.createdAt })).toBe(2);
    expect(await matched({ until: second?.createdAt })).toBe(1);
    expect(await matched({ status: ["paused"], ids: [ids[0], ids[2]] })).toBe(1);
    await send(`/workflows/${ids[2]}/signals`, { name: "go", payload: { text: 5 } });
    await soon(async () => (await taskOf(String(ids[2]), "profile"))?.status).toBe("parked");
    const code = (await taskOf(String(ids[2]), "profile"))?.error?.code;
    expect(await matched({ code })).toBe(1);
    expect(await matched({ code: "NEVER" })).toBe(0);
  });
});

describe("the past over HTTP", slow, () => {
  test("snapshot, fork and diff of a run", async () => {
    const id = await begin();
    await send(`/workflows/${id}/pause`);
    const { body } = await send(`/workflows/${id}/snapshot?at=1`, undefined, undefined, "GET");
    expect(body).toMatchObject({ id, seq: 1 });
    const forked = await send(`/workflows/${id}/fork`, { at: 1 });
    expect(forked).toMatchObject({ status: 201, body: { workflow: "steered" } });
    const fork = String(forked.body["id"]);
    const path = `/workflows/${id}/diff?with=${fork}`;
    const diff = await send(path, undefined, undefined, "GET");
    expect(diff.body).toMatchObject({ left: id, right: fork, journal: { seq: 1 } });
    await refused([`/workflows/${id}/fork`, { at: 1, definition: "latest" }], "CONFLICT");
  });
});

describe("verbs of the command line", slow, () => {
  test("steer a run", async () => {
    const id = await begin();
    const ok = async (...args: readonly string[]) => {
      const result = await spectra(...args);
      expect({ args, ...result }).toMatchObject({ args, code: 0 });
      return result.out;
    };
    expect(await ok("pause", id, "--reason", "tea")).toContain(`${id} is paused`);
    expect(await ok("state", id)).toContain("paused, drained");
    expect(await ok("resume", id)).toContain(`${id} is running`);
    expect(await ok("priority", id, "4")).toContain(`${id} is running`);
    expect(await ok("priority", id, "2", "profile")).toContain(`${id} is running`);
    expect(await ok("run-now", id, "profile")).toContain(`${id} is running`);
    expect(await ok("skip", id, "nap", "--reason", "no need")).toContain("journal entry");
    expect(await ok("signal", id, "other", "--reason", "try")).toContain("journal entry");
    expect(await ok("update", id, "go", '{"text": 5}')).toContain("taken as journal entry");
    await soon(async () => (await taskOf(id, "profile"))?.status).toBe("parked");
    await ok("resolve", id, "profile", "succeeded", "--output", '{"a": 1}');
    const filter = JSON.stringify({ ids: [id] });
    expect(await ok("bulk", "cancel", "--filter", filter, "--dry-run")).toContain("1 match");
    expect(await ok("bulk", "priority", "--filter", filter, "--priority", "5")).toContain("1 took");
    const [approval] = (await stateOf(id)).approvals;
    await ok("approve", approval?.token ?? "", "--payload", '{"ok": true}');
    await until(id, "completed");
    expect(await ok("snapshot", id, "--at", "1")).toContain(`${id} after 1`);
    expect(await ok("fork", id, "--at", "1")).toContain(`forked ${id} at 1`);
    expect(await ok("audit")).toContain("Every journal");
    expect((await spectra("diff", id, id)).code).toBe(0);
  });

  test("say what is wrong in one line, with exit code 2 for usage and 1 for a refusal", async () => {
    for (const [code, says, ...args] of [
      [2, "It must be a whole number.", "priority", "any", "high"],
      [2, "It must be a JSON object.", "budget", "any", "[]"],
      [2, "It is not JSON.", "signal", "any", "go", "{"],
      [2, "required option '--filter", "bulk", "pause"],
      [1, 'Cannot find workflow run "nobody"', "skip", "nobody", "nap"],
      [1, "/operation", "bulk", "delete", "--filter", '{"workflow": "x"}'],
      [1, "Cannot decide", "approve", "nobody"],
      [1, 'Cannot find workflow run "nobody"', "fork", "nobody", "--at", "1"],
    ] as const) {
      const result = await spectra(...args);
      expect({ args, code: result.code }).toEqual({ args, code });
      expect(result.out).toContain(says);
      expect(result.out).not.toMatch(/^\s+at /m);
    }
  });
});
