/**
 * INFRASTRUCTURE.setup_postgresql_cluster on real databases of one server.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { setupPostgresqlCluster } from "../../../../actors/agents/infrastructure/setup-postgresql-cluster.ts";
import { auditGrants } from "../../../../actors/agents/security/audit-grants.ts";
import { archiveRoles } from "../../../../actors/archive/archive-roles.ts";
import { baseDdl } from "../../../../actors/archive/target-schema.ts";
import { createAgentContext } from "../../../support/agent-context.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";

const databases: TestDatabase[] = [];
let db: TestDatabase;

async function newDatabase(): Promise<TestDatabase> {
  const created = await createTestDatabase();
  databases.push(created);
  return created;
}

beforeAll(async () => {
  db = await newDatabase();
});
afterAll(async () => {
  for (const database of databases) await database.drop();
});

interface Report {
  schemaCreated: boolean;
  rolesCreated: string[];
  rolesDenied: string[];
  warnings: string[];
  disk: { freeBytes: number; neededBytes: number } | null;
  replicas: unknown[];
}

async function setUp(
  sql: postgres.Sql,
  key: string,
  input: Record<string, unknown> = {},
  overrides: Parameters<typeof createAgentContext>[1] = {},
): Promise<Report> {
  const ctx = createAgentContext(sql, { idempotencyKey: key, ...overrides });
  const result = await setupPostgresqlCluster.run(ctx, setupPostgresqlCluster.input.parse(input));
  return setupPostgresqlCluster.output.parse(result) as Report;
}

test("setup_postgresql_cluster creates schema, roles and grants that also hold for later tables", async () => {
  const report = await setUp(db.sql, "a");
  expect(report).toMatchObject({ schemaCreated: true, rolesDenied: [] });
  for (const statement of baseDdl) await db.sql.unsafe(statement);
  expect(await auditGrants(db.sql, archiveRoles)).toEqual([]);
  expect(await setUp(db.sql, "a")).toMatchObject({ schemaCreated: false, rolesCreated: [] });
});

test("setup_postgresql_cluster works for several databases of one server at once", async () => {
  const all = await Promise.all([newDatabase(), newDatabase(), newDatabase()]);
  const reports = await Promise.all(all.map(({ sql }, index) => setUp(sql, `many-${index}`)));
  expect(reports.map(({ schemaCreated }) => schemaCreated)).toEqual([true, true, true]);
});

test("setup_postgresql_cluster names a standby that is not connected", async () => {
  const report = await setUp(db.sql, "a", { replicas: ["standby-1"] });
  expect(report.replicas).toEqual([
    { name: "standby-1", state: "absent", lagBytes: null, lagMs: null },
  ]);
  expect(report.warnings).toContain("replica standby-1 is absent");
});

test("setup_postgresql_cluster refuses a disk that is too small, where it can see the disk", async () => {
  const host = { dataDir: "/tmp/not/there/yet", embeddedDatabase: true, redisUrl: undefined };
  expect((await setUp(db.sql, "a", { diskBytes: 1 }, { host })).disk?.freeBytes).toBeGreaterThan(1);
  await expect(setUp(db.sql, "a", { diskBytes: 2 ** 60 }, { host })).rejects.toMatchObject({
    code: "DISK_TOO_SMALL",
  });
  expect((await setUp(db.sql, "a", { diskBytes: 2 ** 60 })).disk).toBeNull();
});

test("setup_postgresql_cluster reports what a plain database user may not do", async () => {
  const plain = await newDatabase();
  const name = `plain_${randomBytes(4).toString("hex")}`;
  const password = randomBytes(16).toString("hex");
  await plain.sql.unsafe(`create role ${name} login password '${password}'`);
  const url = new URL(plain.url);
  url.username = name;
  url.password = password;
  const sql = postgres(url.href, { max: 1, onnotice: () => undefined });
  await expect(setUp(sql, "plain")).rejects.toMatchObject({ code: "PRIVILEGE_MISSING" });
  await plain.sql.unsafe(`grant create on database ${url.pathname.slice(1)} to ${name}`);
  // The roles exist by now, so that nothing but the grants is left to do.
  expect(await setUp(sql, "plain")).toMatchObject({ schemaCreated: true, rolesCreated: [] });
  await sql.end();
  await plain.sql.unsafe(`drop owned by ${name} cascade; drop role ${name}`);
});

test("compensation drops the schema that the run made, and no other", async () => {
  const own = await newDatabase();
  await setUp(own.sql, "mine");
  const compensate = async (key: string): Promise<number> => {
    const ctx = createAgentContext(own.sql, { idempotencyKey: key });
    await setupPostgresqlCluster.compensate!(ctx, {});
    return (await own.sql`select 1 from pg_namespace where nspname = 'archive'`).length;
  };
  expect(await compensate("other")).toBe(1);
  for (const statement of baseDdl) await own.sql.unsafe(statement);
  await own.sql`insert into archive.migrations (run_id, source, id_base, started_at) values ('r', 's', 0, now())`;
  expect(await compensate("mine")).toBe(1);
  await own.sql`delete from archive.migrations`;
  expect(await compensate("mine")).toBe(0);
  expect(await compensate("mine")).toBe(0);
});
