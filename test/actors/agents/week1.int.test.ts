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
import type { TaskInput } from "../../../actors/define-workflow.ts";
import { week1 } from "../../../actors/workflows/phase1/week1.ts";
import { createAgentContext } from "../../support/agent-context.ts";
import { sampleUrl } from "../../support/migrated-archive.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";

let db: TestDatabase;
const outputs = new Map<string, unknown>();
const agents = [director, infrastructure, architect, database, optimizer];

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
  const [name, action = ""] = task.do.split(".");
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
  console.log(migration, JSON.stringify(outputs.get("performance_baseline_establishment")));
  console.log(JSON.stringify(outputs.get("phase1_strategic_planning")).slice(0, 6000));
  console.log(JSON.stringify(outputs.get("postgresql_cluster_setup")));
});
