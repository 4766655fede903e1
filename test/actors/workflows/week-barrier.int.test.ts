import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { capability } from "../../../actors/define-agent.ts";
import {
  arriving,
  weekArrivals,
  weekBarrierId,
} from "../../../actors/workflows/phase1/week-barrier.ts";
import { createCoordination } from "../../../runtime/bus/coordination.ts";
import { createAgentContext } from "../../support/agent-context.ts";
import { createCoordinationTables } from "../../support/coordination-tables.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";

let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase();
  await createCoordinationTables(db.sql);
});
afterAll(() => db.drop());

const bus = { request: () => Promise.reject(new Error("nobody is asked")) };
const plenty = { cpu: 8, memoryMb: 8_192 };

function coordination() {
  return createCoordination({ sql: db.sql, bus, nodeId: "n", budget: plenty, nominal: plenty });
}

function act(
  agent: string,
  taskKey: string,
  workflowId: string,
  run: () => Promise<Record<string, never>>,
) {
  const action = arriving(
    capability({ description: "acts", input: z.object({}), output: z.object({}), run }),
  );
  const ctx = createAgentContext(db.sql, {
    agent,
    taskKey,
    workflowId,
    coordination: coordination(),
  });
  return action.run(ctx, {});
}
const succeed = async () => ({});

test("arriving() lets each agent of a week arrive after its last task", async () => {
  const missing: number[] = [];
  for (const [agent, taskKey] of Object.entries(weekArrivals["week2"] ?? {})) {
    await act(agent, taskKey, "wf-a", succeed);
    const rows = await db.sql`select 1 from spectra.barrier_arrivals
      where barrier_id = ${weekBarrierId("wf-a", "week2")} and arrived_at is null`;
    missing.push(rows.length);
  }
  expect(missing).toEqual([4, 3, 2, 1, 0]);
});

test("arriving() lets nobody arrive when the action fails", async () => {
  const failing = act("TESTBED", "compression_performance_testing", "wf-b", () =>
    Promise.reject(new Error("no body")),
  );
  await expect(failing).rejects.toThrow("no body");
  expect(await db.sql`select 1 from spectra.barriers where id like 'wf-b/%'`).toHaveLength(0);
});

test("arriving() does nothing of its own in any other workflow", async () => {
  await act("TESTBED", "my_own_task", "wf-c", succeed);
  expect(await db.sql`select 1 from spectra.barriers where id like 'wf-c/%'`).toHaveLength(0);
});
