/**
 * Week 1 of Phase 1 as its workflow states it, task by task, on the real sample and a real database.
 *
 * @module
 */

import { afterAll, beforeAll, expect, test } from "vitest";
import { architect } from "../../../actors/agents/architect/agent.ts";
import { database } from "../../../actors/agents/database/agent.ts";
import { director } from "../../../actors/agents/director/agent.ts";
import { infrastructure } from "../../../actors/agents/infrastructure/agent.ts";
import { optimizer } from "../../../actors/agents/optimizer/agent.ts";
import { chooseSubjects, scanSource } from "../../../actors/archive/measure-queries.ts";
import { declaredQueries } from "../../../actors/archive/queries.ts";
import { openSource } from "../../../actors/archive/source.ts";
import type { AgentDefinition } from "../../../actors/define-agent.ts";
import type { TaskInput } from "../../../actors/define-workflow.ts";
import { week1 } from "../../../actors/workflows/phase1/week1.ts";
import { createAgentContext } from "../../support/agent-context.ts";
import { sampleUrl } from "../../support/migrated-archive.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";

let db: TestDatabase;
const outputs = new Map<string, unknown>();
const agents: readonly AgentDefinition[] = [
  director,
  infrastructure,
  architect,
  database,
  optimizer,
];

/** Fills in `param` and `output` as the engine does. */
function resolve(input: TaskInput, params: Record<string, unknown>): unknown {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return input;
  const fields = input as Record<string, TaskInput>;
  if (typeof fields["$param"] === "string") return params[fields["$param"]];
  if (typeof fields["$output"] === "string") {
    const path = typeof fields["path"] === "string" ? fields["path"].split(".") : [];
    return path.reduce<unknown>(
      (value, key) => (value as Record<string, unknown>)[key],
      outputs.get(fields["$output"]),
    );
  }
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, resolve(value, params)]),
  );
}

async function runTask(key: string, params: Record<string, unknown>): Promise<void> {
  const task = week1.tasks[key]!;
  const [name, action = ""] = (task.do ?? "").split(".");
  const capability = agents.find((agent) => agent.name === name)!.capabilities[action]!;
  const input = capability.input.parse(resolve(task.with ?? {}, params));
  // Another task key than the workflow's: there is no coordinator here to arrive at.
  const ctx = createAgentContext(db.sql, { idempotencyKey: `wf/${key}`, taskKey: `test-${key}` });
  const result = capability.output.parse(await capability.run(ctx, input));
  // Outputs travel as JSON.
  outputs.set(key, JSON.parse(JSON.stringify(result)));
}

beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(async () => {
  await db.drop();
});

test("week1 carries the whole sample into PostgreSQL and measures it", async () => {
  const archive = await sampleUrl();
  const startedMs = performance.now();
  for (const key of Object.keys(week1.tasks)) {
    if (key === "phase1_tactical_coordination") continue;
    const taskMs = performance.now();
    await runTask(key, { archive });
    console.log(key, `${Math.round(performance.now() - taskMs)} ms`);
  }
  console.log(`week 1: ${Math.round(performance.now() - startedMs)} ms`);
  const migration = outputs.get("database_migration_execution") as Record<string, unknown>;
  expect(migration).toMatchObject({ read: 6_046, migrated: 6_046, rejected: 0 });
  expect(outputs.get("phase1_strategic_planning")).toMatchObject({
    profile: { messages: 6_046, senders: 2_559, encodings: { other: 0 } },
    plan: { batches: 4, partitions: 34, batchSize: 10_000 },
    criteria: [{ required: 65 }, { required: 99.5 }, { required: 10 }],
  });
  expect(outputs.get("schema_architecture_design")).toMatchObject({
    indexes: [{ serves: ["message_with_body"] }, {}, {}],
  });
  const baseline = outputs.get("performance_baseline_establishment") as {
    reads: { name: string; runs: number; p50Ms: number; rows: number }[];
    writes: { name: string; rows: number }[];
    sourceScan: { records: number; matches: Record<string, number> };
    size: { messages: number; bytesPerRow: number };
  };
  expect(baseline.reads.map(({ name }) => name)).toEqual(declaredQueries.map(({ name }) => name));
  for (const read of [...baseline.reads, ...baseline.writes]) expect(read.rows).toBeGreaterThan(0);
  expect(baseline.sourceScan).toMatchObject({ records: 6_046, matches: { message_with_body: 1 } });
  expect(baseline.size.messages).toBe(6_046);
  expect(baseline.size.bytesPerRow).toBeGreaterThan(5_381);
  const left = await db.sql`select relname from pg_class where relname like 'baseline%'`;
  expect(left).toHaveLength(0);
});

test("a source read and its answer in PostgreSQL agree for every declared query", async () => {
  const archive = await sampleUrl();
  const source = await openSource(archive);
  const [subject] = await chooseSubjects(db.sql);
  const { matches } = await scanSource(source, subject!, createAgentContext(db.sql));
  source.close();
  const counted = await db.sql<Record<string, number>[]>`
    select (select count(*)::int from archive.messages where source_id = ${subject!.sourceId}) as message_with_body,
      (select count(*)::int from archive.messages where user_id = ${subject!.userId}) as user_recent,
      (select count(*)::int from archive.messages where sent_at >= ${subject!.from}
        and sent_at < ${subject!.to}) as senders_in_window,
      (select count(*)::int from archive.messages) as months`;
  expect(matches).toMatchObject(counted[0]!);
});
