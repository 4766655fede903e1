import { afterAll, beforeAll, expect, test } from "vitest";
import { agentDefinitions } from "../../../actors/agents/registry.ts";
import { demo } from "../../../actors/workflows/demo.ts";
import type { Json } from "../../../machines/error-code.ts";
import { checkDefinition } from "../../../runtime/engine/definition.ts";
import { createCoordinationTables } from "../../support/coordination-tables.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { createTestSystem, runStage, type TestSystem } from "../../support/run-workflow.ts";

let db: TestDatabase;
let system: TestSystem;
const outputs = new Map<string, Json>();

beforeAll(async () => {
  db = await createTestDatabase();
  await createCoordinationTables(db.sql);
  system = createTestSystem(db.sql, agentDefinitions);
  for (const stage of Object.values(demo.stages)) await runStage(system, stage, outputs);
});
afterAll(() => db.drop());

test("demo is a definition that the engine accepts without any input", () => {
  const findAgent = (name: string) => agentDefinitions.find((agent) => agent.name === name);
  expect(() => checkDefinition(demo, {}, findAgent)).not.toThrow();
});

test("demo hands the endpoints over until the page stands and passes its audit", () => {
  expect(outputs.get("write_page")).toMatchObject({
    topics: expect.arrayContaining(["GET /messages"]),
  });
  expect(outputs.get("audit_page")).toMatchObject({ passed: true, findings: [] });
});

test("demo merges what the parallel tasks found", () => {
  const merged = outputs.get("merge_texts") as { similarity: number; sharedWords: string[] };
  expect(merged.similarity).toBeGreaterThan(0.2);
  expect(merged.sharedWords).toContain("workflow");
  expect(outputs.get("scan_mail")).toMatchObject({ counts: { emailAddress: 1, phoneNumber: 1 } });
  expect(outputs.get("system_health")).toMatchObject({ machine: { cores: expect.any(Number) } });
});

test("demo lists what the patch changes in the roll-out", () => {
  expect(outputs.get("compare_rollout")).toEqual({
    changes: [
      { pointer: "/spec/replicas", before: 1, after: 3 },
      {
        pointer: "/spec/template/spec/containers/0/image",
        before: "registry.example.com/archive-api:1.4.0",
        after: "registry.example.com/archive-api:1.5.0",
      },
    ],
    replacesPods: true,
  });
});

test("demo's three workers inspect every table of the system once", async () => {
  const [counted] = await db.sql<{ tables: number }[]>`
    select count(*)::int as tables from pg_stat_user_tables where schemaname = 'spectra'`;
  expect(outputs.get("collect_tables")).toMatchObject({ workers: 3, tables: counted?.tables });
});

test("demo's barrier opens when the last of four arrives", () => {
  const missing = ["web_arrives", "security_arrives", "monitor_arrives"].map(
    (key) => (outputs.get(key) as { missing: string[] }).missing.length,
  );
  expect(missing).toEqual([3, 2, 1]);
  expect(outputs.get("close_barrier")).toEqual({ barrier: "demo", open: true });
});

test("demo's vote accepts the page with the reasons of those who decided it", () => {
  const vote = outputs.get("publish_decision") as {
    outcome: string;
    ballots: { approve: boolean }[];
  };
  expect(vote.outcome).toBe("accepted");
  expect(vote.ballots.filter((ballot) => ballot.approve).length).toBeGreaterThanOrEqual(2);
});

test.each([
  ["DIRECTOR", { topics: ["GET /nothing"] }, /does not tell of GET \/nothing/],
  ["DIRECTOR", { topics: [] }, /no topics/],
  ["TESTBED", { html: "<html><h1>message API</h1></html>" }, /html has no lang/],
  ["SECURITY", { html: "<p>ask ops@example.com</p>" }, /1 emailAddress/],
])("%s votes against a page with %j", async (voter, change, reason) => {
  const page = outputs.get("write_page") as { html: string; topics: string[] };
  const proposal = { kind: "publish_page", title: "message API", ...page, ...change };
  const ballot = await system.call(voter, "cast_vote", { proposal });
  expect(ballot).toMatchObject({ approve: false, reason: expect.stringMatching(reason) });
});

test("PROJECTORCHESTRATOR.close_barrier fails while someone is missing", async () => {
  const open = { barrier: "early", participants: ["WEB"], timeoutMs: 60_000 };
  await system.call("PROJECTORCHESTRATOR", "open_barrier", open);
  const close = system.call("PROJECTORCHESTRATOR", "close_barrier", { barrier: "early" });
  await expect(close).rejects.toMatchObject({
    code: "BARRIER_WAITING",
    message: 'Cannot pass the barrier "early": WEB did not arrive yet',
  });
});

test("DEBUGGER.inspect_tables refuses a table that does not exist", async () => {
  const call = system.call("DEBUGGER", "inspect_tables", { tables: ["spectra.nothing"] });
  await expect(call).rejects.toMatchObject({ code: "TABLE_UNKNOWN" });
});

test("DIRECTOR.divide_work refuses a schema without tables", async () => {
  const call = system.call("DIRECTOR", "divide_work", { schema: "nowhere", workers: 2 });
  await expect(call).rejects.toMatchObject({ code: "SCHEMA_EMPTY" });
});
