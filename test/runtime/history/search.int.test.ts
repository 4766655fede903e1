import { afterAll, beforeAll, expect, test } from "vitest";
import { defineWorkflow } from "../../../actors/define-workflow.ts";
import { openDatabase } from "../../../db/database.ts";
import { auditRuns } from "../../../runtime/history/audit.ts";
import type { RunQuery } from "../../../runtime/system.ts";
import { featureAgent } from "../../support/every-feature.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { soon } from "../../support/soon.ts";
import { openTestHost } from "../../support/workflow-host.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.drop();
});

const by = { actor: "test" };
const good = defineWorkflow({
  id: "good",
  tasks: { one: { do: "WORKER.add", with: { value: 1 } } },
});
const bad = defineWorkflow({
  id: "bad",
  tasks: { one: { do: "WORKER.fail", with: { failures: 9 }, retry: { attempts: 1 } } },
});
const outer = defineWorkflow({ id: "outer", tasks: { sub: { workflow: "good" } } });
const pause = defineWorkflow({ id: "pause", tasks: { nap: { sleepMs: 3_600_000 } } });

test("runs are found by everything that is known of them, alone and together", async () => {
  await using node = await openTestHost({
    url: database.url,
    workflows: [good, bad, outer, pause],
    runAgent: featureAgent,
  });
  const start = async (workflow: string) => (await node.workflows.start({ workflow }, by)).id;
  const [a, b, c, d] = [
    await start("good"),
    await start("bad"),
    await start("outer"),
    await start("pause"),
  ];
  await node.until(a, "completed");
  await node.until(b, "failed");
  await node.until(c, "completed");
  const fork = await node.history.fork(b, { at: 1 }, by);
  await node.until(fork, "failed");
  expect(await node.history.setAttributes(a, { city: "Ulm", size: 5, gone: 1 }, by)).toEqual({
    city: "Ulm",
    size: 5,
    gone: 1,
  });
  expect(await node.history.setAttributes(a, { gone: null }, by)).toEqual({ city: "Ulm", size: 5 });
  await node.history.setAttributes(b, { city: "Ulm", size: "5" }, by);
  expect(await node.history.setAttributes("no", { x: 1 }, by)).toBeUndefined();
  const find = async (query: RunQuery) =>
    (await node.workflows.list(query)).items.map(({ id }) => id).sort();
  const [child = ""] = await find({ parent: c });
  const all = [a, b, c, d, child, fork];
  expect(await find({})).toEqual([...all].sort());
  expect(await find({ root: c })).toEqual([c, child].sort());
  expect(await find({ forkedFrom: b })).toEqual([fork]);
  expect(await find({ code: "BOOM" })).toEqual([b, fork].sort());
  expect(await find({ agent: "WORKER" })).toEqual([a, b, child, fork].sort());
  expect(await find({ agent: "NOBODY" })).toEqual([]);
  expect(await find({ attributes: { size: "5" } })).toEqual([a, b].sort());
  // Looks like a number and is none in JSON.
  expect(await find({ attributes: { size: "005" } })).toEqual([]);
  expect(await find({ attributes: { city: "Ulm" }, code: "BOOM" })).toEqual([b]);
  expect(await find({ attributes: { city: "Ulm" }, status: "completed" })).toEqual([a]);
  const inline = { id: "inline", mode: "parallel", tasks: { nap: { sleepMs: 3_600_000 } } };
  const { id: given } = await node.workflows.start({ workflow: inline }, by);
  expect(await node.history.checkVersions("inline")).toMatchObject([
    { workflow: "inline", version: null, runs: [{ id: given, verdict: "unregistered" }] },
  ]);
  await node.workflows.cancel(given, by);
  all.push(given);
  expect(await find({ schedule: "none" })).toEqual([]);
  const created = Date.parse((await node.workflows.get(b))?.createdAt ?? "");
  expect(await find({ sinceMs: created })).not.toContain(a);
  expect(await find({ untilMs: created })).toEqual([a]);
  const first = await node.workflows.list({ limit: 4 });
  const second = await node.workflows.list({ limit: 4, cursor: first.nextCursor ?? "" });
  expect([...first.items, ...second.items].map(({ id }) => id).sort()).toEqual([...all].sort());
  await soon(
    async () =>
      (await node.workflows.history(a, 0, 100))?.filter(({ type }) => type === "run.attributes")
        .length,
  ).toBe(2);
  const { db, close } = openDatabase({ type: "url", url: database.url });
  expect(await auditRuns(db)).toEqual([]);
  await close();
}, 120_000);
