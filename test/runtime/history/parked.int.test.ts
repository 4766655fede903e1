import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defineWorkflow } from "../../../actors/define-workflow.ts";
import { openDatabase } from "../../../db/database.ts";
import { auditRuns } from "../../../runtime/history/audit.ts";
import { featureAgent, post } from "../../support/every-feature.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { openTestHost } from "../../support/workflow-host.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.drop();
});

const by = { actor: "test" };
const waits = defineWorkflow({
  id: "waits",
  tasks: {
    told: { signal: "go" },
    after: { do: "WORKER.add", after: ["told"], with: { value: 1 } },
  },
});

/** A state of the chart that no definition has. */
const strange = sql`jsonb_set(extras, '{chart,value}', '"nowhere"')`;

test("a run that cannot be restored is parked with its reason, and holds up no other", async () => {
  const { db, close } = openDatabase({ type: "url", url: database.url });
  const options = { url: database.url, workflows: [waits], runAgent: featureAgent };
  let [bad, good] = ["", ""];
  {
    await using node = await openTestHost(options);
    bad = (await node.workflows.start({ workflow: "waits" }, by)).id;
    good = (await node.workflows.start({ workflow: "waits" }, by)).id;
    await node.until(bad, "running");
    await node.until(good, "running");
  }
  const [stored] = await db.execute<{ extras: string }>(
    sql`select extras::text from spectra.workflows where id = ${bad}`,
  );
  await db.execute(sql`update spectra.workflows set extras = ${strange} where id = ${bad}`);
  await using node = await openTestHost({ ...options, nodeId: "node-b" });
  const view = await node.until(bad, "parked");
  expect(view.error).toMatchObject({ code: "RUN_UNREADABLE" });
  expect(view.error?.message).toContain('the chart has no state "nowhere"');
  await post(node, good, { type: "run.signal", name: "go", payload: null });
  await node.until(good, "completed");
  await expect(node.history.unpark(good, by)).rejects.toMatchObject({ code: "CONFLICT" });
  // Its mail waits for it.
  await post(node, bad, { type: "run.signal", name: "go", payload: null });
  await db.execute(
    sql`update spectra.workflows set extras = ${stored?.extras ?? ""}::jsonb where id = ${bad}`,
  );
  await node.history.unpark(bad, by);
  await node.until(bad, "completed");
  expect(await auditRuns(db)).toEqual([]);
  await close();
}, 120_000);

test("a run whose dispatch throws is parked with its reason, and holds up no other", async () => {
  const { db, close } = openDatabase({ type: "url", url: database.url });
  const limited = { ...waits, id: "limited", budget: { tasks: { hard: 10 } } };
  const options = { url: database.url, workflows: [waits, limited], runAgent: featureAgent };
  let [bad, good] = ["", ""];
  {
    await using node = await openTestHost(options);
    bad = (await node.workflows.start({ workflow: "limited" }, by)).id;
    good = (await node.workflows.start({ workflow: "waits" }, by)).id;
    await node.until(bad, "running");
    await node.until(good, "running");
  }
  // What no code of ours writes: the budget cannot be read when its task is to begin.
  await db.execute(sql`update spectra.workflows
    set extras = jsonb_set(extras, '{spent}', 'null') where id = ${bad}`);
  await using node = await openTestHost({ ...options, nodeId: "node-c" });
  for (const id of [bad, good]) {
    await post(node, id, { type: "run.signal", name: "go", payload: null });
  }
  expect((await node.until(bad, "parked")).error?.message).toContain("null");
  await node.until(good, "completed");
  await close();
}, 120_000);
