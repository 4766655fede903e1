import { fileURLToPath } from "node:url";
/**
 * Each filter of the search is answered by an index, over 20,000 runs in the live tables and as many archived.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/postgres-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSql } from "../../db/client.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import { createViewRepo, type RunSearch } from "../../db/view-repo.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const rows = 20_000;
let database: TestDatabase;
let client: ReturnType<typeof openSql>;
const statements: { query: string; params: unknown[] }[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const target = { type: "url", url: database.url } as const;
  await migrateDatabase(target, fileURLToPath(new URL("../../db/migrations", import.meta.url)));
  client = openSql(target, { name: "search-plans", max: 1 });
  const db = drizzle(client);
  await db.execute(sql`insert into spectra.definitions (hash, workflow, body, agents)
    select 'hash' || n, 'flow' || n, '{}', array['AGENT' || n, 'EVERYBODY'] from generate_series(0, 99) n`);
  for (const table of ["workflows", "archived_runs"]) {
    const isLive = table === "workflows";
    await db.execute(sql`insert into ${sql.raw(`spectra.${table}`)}
      (id, workflow, definition_hash, status, attributes, root_id, created_at, finished_at,
       ${sql.raw(isLive ? "title, place, priority, input, error" : "summary, body, codes")})
      select 'run-' || n, 'flow' || n % 100, 'hash' || n % 100,
        case when n % 400 = 0 then 'failed' else 'completed' end,
        jsonb_build_object('customer', n % 1000, 'region', 'eu'), 'run-' || n,
        now() - n * interval '1 minute', now(),
        ${sql.raw(
          isLive
            ? "'', '', 3, '{}', case when n % 400 = 0 then '{\"code\":\"BOOM\"}'::jsonb end"
            : "'{}', '', case when n % 400 = 0 then array['BOOM'] else '{}' end",
        )}
      from generate_series(1, ${rows}::int) n`);
  }
  await db.execute(sql`insert into spectra.tasks
    (workflow_id, key, position, agent, action, status, error)
    select 'run-' || n, 'task' || k, k, 'AGENT' || n % 100, 'do', 'succeeded',
      case when n % 500 = 0 then '{"code":"SLOW"}'::jsonb end
    from generate_series(1, ${rows}::int) n, generate_series(0, 2) k`);
  await db.execute(sql`insert into spectra.journal (workflow_id, seq, type, at, actor, payload)
    select 'run-' || n, 1, 'run.started', now(), 'test', '{}' from generate_series(1, ${rows}::int) n`);
  await db.execute(sql`analyze`);
}, 120_000);

afterAll(async () => {
  await client.end();
  await database.drop();
});

const filters: readonly [string, RunSearch][] = [
  ["nothing", {}],
  ["a rare status", { status: "failed" }],
  ["a status that no run has", { status: "parked" }],
  ["the status of nearly all", { status: "completed" }],
  ["definition", { workflow: "flow7" }],
  ["an agent of one definition", { agent: "AGENT7" }],
  ["an agent of all", { agent: "EVERYBODY" }],
  ["an agent that nobody has", { agent: "NOBODY" }],
  ["error code of runs", { code: "BOOM" }],
  ["error code of tasks", { code: "SLOW" }],
  ["an unknown error code", { code: "NONE" }],
  ["time", { sinceMs: Date.now() - 3_600_000 }],
  ["an old time", { untilMs: Date.now() - 15_000 * 60_000 }],
  ["attribute", { attributes: { customer: "7" } }],
  ["the attribute of all", { attributes: { region: "eu" } }],
  ["root", { root: "run-7" }],
  ["schedule", { schedule: "nightly" }],
  ["definition and status", { workflow: "flow0", status: "failed" }],
];

test.each(filters)("the search for %s reads no table from end to end", async (_name, search) => {
  statements.length = 0;
  const logger = {
    logQuery: (query: string, params: unknown[]) => void statements.push({ query, params }),
  };
  const repo = createViewRepo(drizzle(client, { logger }) as never);
  await repo.runs({ ...search, limit: 51 });
  expect(statements).toHaveLength(2);
  for (const { query, params } of statements) {
    const plan = await client.unsafe(`explain ${query}`, params as never);
    const text = plan.map((row) => String(row["QUERY PLAN"])).join("\n");
    expect(text).toMatch(/Index/);
    expect(text).not.toMatch(/Seq Scan on (workflows|tasks|journal|archived_runs)/);
  }
});
