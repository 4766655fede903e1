import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { migrateDatabase } from "../../db/migrate.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { soon } from "../support/soon.ts";

const folder = fileURLToPath(new URL("../../db/migrations", import.meta.url));
/** Key of the advisory lock that holds a migration up in the middle. */
const holdUp = 424_242;

let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
});

afterEach(async () => {
  await database.drop();
});

function migrate(): Promise<string> {
  return migrateDatabase({ type: "url", url: database.url }, folder);
}

async function tables(): Promise<string[]> {
  const rows = await database.sql<{ name: string }[]>`
    select table_name as name from information_schema.tables where table_schema = 'spectra'
    order by 1`;
  return rows.map(({ name }) => name);
}

async function ledger(): Promise<{ count: number }> {
  const [row] = await database.sql<{ count: number }[]>`
    select count(*)::int as count from spectra.__drizzle_migrations`;
  return row ?? { count: 0 };
}

describe("migrateDatabase()", () => {
  test("brings an empty database up to date, and tells the server's version", async () => {
    expect(await migrate()).toMatch(/^\d+\.\d+$/);
    expect(await tables()).toEqual(
      expect.arrayContaining(["workflows", "tasks", "journal", "mailbox", "outbox", "timers"]),
    );
  });

  test("changes nothing the second time", async () => {
    await migrate();
    const once = await ledger();
    await migrate();
    expect(await ledger()).toEqual(once);
  });

  test("lets five nodes start together on an empty database", async () => {
    const versions = await Promise.all(Array.from({ length: 5 }, migrate));
    expect(new Set(versions).size).toBe(1);
    const all = await ledger();
    await migrate();
    expect(await ledger()).toEqual(all);
  });

  test("refuses a database that newer code has migrated", async () => {
    await migrate();
    const later = Date.UTC(2100, 0, 1);
    await database.sql`insert into spectra.__drizzle_migrations (hash, created_at)
      values ('of the future', ${later})`;
    await expect(migrate()).rejects.toMatchObject({
      name: "MigrationError",
      code: "DATABASE_NEWER",
      retryable: false,
      message: expect.stringMatching(/^Cannot use this database: a newer SPECTRA .* past "\d+_/),
    });
  });

  test("leaves nothing half-done when it is cut off in the middle, and works the next time", async () => {
    const { sql } = database;
    await sql.unsafe(`
      create function hold_up() returns event_trigger language plpgsql as
        $$ begin perform pg_advisory_xact_lock(${holdUp}); end $$;
      create event trigger hold_up on ddl_command_end when tag in ('CREATE INDEX')
        execute function hold_up();`);
    const holder = await sql.reserve();
    await holder`select pg_advisory_lock(${holdUp})`;
    const cut = migrate().then(
      () => "migrated",
      (error: unknown) => error,
    );
    let victim = 0;
    await soon(async () => {
      const [row] = await sql<{ pid: number }[]>`select a.pid from pg_stat_activity a
          join pg_locks l on l.pid = a.pid and l.locktype = 'advisory' and not l.granted
          where a.application_name = 'spectra-migrate' and a.datname = current_database()`;
      victim = row?.pid ?? 0;
      return victim;
    }).toBeGreaterThan(0);
    await sql`select pg_terminate_backend(${victim})`;
    expect(await cut).toBeInstanceOf(Error);
    expect(await tables()).toEqual(["__drizzle_migrations"]);
    expect(await ledger()).toEqual({ count: 0 });

    await holder`select pg_advisory_unlock(${holdUp})`;
    holder.release();
    await sql`drop event trigger hold_up`;
    await migrate();
    expect(await tables()).toContain("workflows");
  });
});
