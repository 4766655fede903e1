import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AgentOutcome } from "../../../../actors/ports.ts";
import type { Json } from "../../../../machines/error-code.ts";
import {
  callOf,
  recordHooks,
  startTestPool,
  type TestPool,
  testAgentUrl,
} from "../../../support/agent-pool.ts";
import { inDeno, inProcess, inThread } from "../../../support/agents/isolated.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { soon } from "../../../support/soon.ts";

let pool: TestPool;

beforeAll(async () => {
  await ensureBuilt();
  // No action here opens a connection.
  pool = await startTestPool("postgres://nobody@127.0.0.1:1/none", {
    definitions: [inThread, inProcess, inDeno],
    moduleUrl: () => testAgentUrl("isolated"),
    // Every death below is on purpose.
    intensity: { maxRestarts: 100, periodMs: 60_000 },
    unresponsiveMs: 3_000,
  });
  await pool.agents.allHealthy;
}, 180_000);

afterAll(async () => {
  await pool?.agents.stop();
});

describe.each([
  { name: "IN-THREAD", runtime: "node", own: true },
  { name: "IN-PROCESS", runtime: "node", own: false },
  { name: "IN-DENO", runtime: "deno", own: false },
])("$name", ({ name, runtime, own }) => {
  const run = (action: string, input: Json, hooks = recordHooks()): Promise<AgentOutcome> =>
    pool.agents.run({ ...callOf(action, input), agent: name }, hooks);

  test("runs its attempts where it was told to", async () => {
    const outcome = await run("where", { text: "hi" });
    expect(outcome).toMatchObject({ type: "succeeded", output: { text: "hi", runtime } });
    const { pid } = (outcome as unknown as { output: { pid: number } }).output;
    expect(pid === process.pid).toBe(own);
  });

  test("keeps code and cause of an error", async () => {
    expect(await run("fail", {})).toMatchObject({
      type: "failed",
      error: { code: "PROBE_FAILED", cause: { name: "TypeError", message: "the root of it" } },
    });
  });

  test("says which permission is missing, and is not repeated for it", async () => {
    const outcome = await run("trespass", {});
    expect(outcome).toMatchObject({
      type: "failed",
      error: { code: "PERMISSION_DENIED", retryable: false },
    });
    const { message } = (outcome as unknown as { error: { message: string } }).error;
    expect(message).toBe(
      `Cannot finish ${name}.trespass: ${name} may not read "/etc/hostname"; if it should, add it ` +
        'to the agent\'s definition: permissions: { read: ["/etc/hostname"] }',
    );
  });

  test("hears an abort", async () => {
    const controller = new AbortController();
    const outcome = run("wait", {}, { ...recordHooks(), signal: controller.signal });
    controller.abort(new Error("enough"));
    expect(await outcome).toMatchObject({ type: "failed", error: { code: "ABORTED" } });
  });

  test("that spins is ended, and serves again", async () => {
    expect(await run("spin", {})).toMatchObject({ type: "failed" });
    await soon(async () => (await run("where", { text: "again" })).type).toBe("succeeded");
  });
});
