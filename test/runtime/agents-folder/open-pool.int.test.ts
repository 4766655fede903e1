/** @module Agents that come and go in a pool that runs, in real threads. */

import { afterAll, beforeAll, expect, test } from "vitest";
import type { AgentOutcome } from "../../../actors/ports.ts";
import { createOpenPool, type OpenPool } from "../../../runtime/agents-folder/open-pool.ts";
import { callOf, recordHooks, startTestPool, testAgentUrl } from "../../support/agent-pool.ts";
import { crowd } from "../../support/agents/crowd.ts";
import { ensureBuilt } from "../../support/build.ts";
import { soon } from "../../support/soon.ts";

const noDatabase = "postgres://nobody@127.0.0.1:1/none";
const card = crowd.slice(0, 1)[0] ?? expect.unreachable();
const moduleUrl = testAgentUrl("crowd");
let pool: OpenPool;

beforeAll(async () => {
  await ensureBuilt();
  const { agents: builtIn } = await startTestPool(noDatabase, { definitions: [], spares: 0 });
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  pool = createOpenPool({
    builtIn,
    log,
    onChange: () => undefined,
    startPool: async (definition, url) => {
      const options = { definitions: [definition], moduleUrl: () => url, spares: 0 };
      return (await startTestPool(noDatabase, options)).agents;
    },
  });
}, 180_000);

afterAll(() => pool?.stop());

const run = (action: string, input = {}, hooks = recordHooks()): Promise<AgentOutcome> =>
  pool.run(callOf(action, input, { agent: card.name }), hooks);

test("a call of an agent that has never been here is refused for good", async () => {
  expect(await run("echo", { n: 1 })).toMatchObject({
    error: { code: "AGENT_UNKNOWN", retryable: false },
  });
});

test("an agent that is being removed ends what runs, begins nothing, and says that it is gone", async () => {
  await pool.provideAgent(card, moduleUrl);
  expect(await run("echo", { n: 1 })).toEqual({ type: "succeeded", output: { n: 1 } });
  const hooks = recordHooks();
  const running = run("wait", {}, hooks);
  await soon(() => pool.state(card.name)?.inFlight).toBe(1);
  const removed = pool.removeAgent(card.name);
  const gone = { error: { code: "AGENT_GONE", retryable: true } };
  expect(await run("echo", { n: 2 })).toMatchObject(gone);
  hooks.controller.abort();
  expect(await running).toMatchObject({ error: { code: "ABORTED" } });
  await removed;
  expect(pool.state(card.name)).toBeUndefined();
  expect(await run("echo", { n: 3 })).toMatchObject(gone);
});

test("an agent that comes back takes calls again", async () => {
  await pool.provideAgent(card, moduleUrl);
  expect(await run("echo", { n: 4 })).toEqual({ type: "succeeded", output: { n: 4 } });
});
