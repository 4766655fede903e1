import { afterEach, beforeAll, expect, test } from "vitest";
import { callOf, recordHooks, startTestPool, testAgentUrl } from "../../../support/agent-pool.ts";
import { crowd } from "../../../support/agents/crowd.ts";
import { ensureBuilt } from "../../../support/build.ts";

const agent = "CROWD-001";
let pool: Awaited<ReturnType<typeof startTestPool>> | undefined;

beforeAll(ensureBuilt, 200_000);
afterEach(async () => await pool?.agents.stop());

/** A call that waits for ever, of a task that has killed a thread before. */
async function callInWard() {
  pool = await startTestPool("postgres://nobody@127.0.0.1:1/none", {
    definitions: crowd.slice(0, 1),
    moduleUrl: () => testAgentUrl("crowd"),
    shutdownMs: 200,
  });
  const { agents } = pool;
  const hooks = recordHooks();
  const call = callOf("wait", {}, { agent, deaths: 1 });
  const outcome = agents.run(call, hooks);
  const queued = agents.run({ ...call, taskKey: "queued" }, recordHooks());
  await hooks.begun;
  return { agents, outcome, queued };
}

test("a stop of the agents ends what runs in a worker of its own, and refuses what waits for one", async () => {
  const { agents, outcome, queued } = await callInWard();
  await agents.stop();
  expect(await outcome).toMatchObject({ type: "failed", error: { code: "AGENT_DIED" } });
  expect(await queued).toMatchObject({ type: "failed", error: { code: "AGENT_UNAVAILABLE" } });
});

test("a kill reaches the worker of its own too; the agent goes on", async () => {
  const { agents, outcome, queued } = await callInWard();
  await agents.killThread(agent);
  expect(await outcome).toMatchObject({ type: "failed", error: { code: "AGENT_DIED" } });
  const echo = await agents.run(
    callOf("echo", { n: 4 }, { agent, taskKey: "next" }),
    recordHooks(),
  );
  expect(echo).toMatchObject({ type: "succeeded", output: { n: 4 } });
  await agents.stop();
  expect(await queued).toMatchObject({ type: "failed" });
});
