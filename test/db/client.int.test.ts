import { drizzle } from "drizzle-orm/postgres-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSql } from "../../db/client.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { soon } from "../support/soon.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.sql`create table marks (n int)`;
});

afterAll(async () => {
  await database.drop();
});

/** Ends the backend of the client with this name, once a statement of it is running. */
async function cut(name: string): Promise<void> {
  await soon(async () => {
    const rows = await database.sql`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = ${name} and state = 'active' and query like '%pg_sleep%'`;
    return rows.length;
  }).toBe(1);
}

async function marks(): Promise<number> {
  const [row] = await database.sql<{ count: number }[]>`select count(*)::int as count from marks`;
  return row?.count ?? 0;
}

describe("openSql()", () => {
  test("a transaction whose connection dies rejects, is rolled back, and the client goes on", async () => {
    const sql = openSql({ type: "url", url: database.url }, { name: "cut-begin", max: 1 });
    for (let round = 0; round < 3; round += 1) {
      const outcome = sql
        .begin(async (tx) => {
          await tx`insert into marks values (1)`;
          await tx`select pg_sleep(30)`;
        })
        .catch((error: unknown) => error);
      await cut("cut-begin");
      expect(await outcome).toBeInstanceOf(Error);
      // postgres.js reports the loss once more to the first query of the next connection.
      await soon(() => sql`select 1 as one`.catch(String)).toEqual([{ one: 1 }]);
    }
    expect(await marks()).toBe(0);
    await sql.end({ timeout: 1 });
  });

  test("so does a transaction of Drizzle", async () => {
    const sql = openSql({ type: "url", url: database.url }, { name: "cut-drizzle", max: 1 });
    const db = drizzle(sql);
    const outcome = db
      .transaction(async (tx) => {
        await tx.execute("insert into marks values (1)");
        await tx.execute("select pg_sleep(30)");
      })
      .catch((error: unknown) => error);
    await cut("cut-drizzle");
    expect(await outcome).toBeInstanceOf(Error);
    expect(await marks()).toBe(0);
    await sql.end({ timeout: 1 });
  });

  test("a loss elsewhere inside a transaction rolls it back and reaches the caller", async () => {
    const sql = openSql({ type: "url", url: database.url }, { name: "elsewhere", max: 1 });
    const elsewhere = Object.assign(new Error("other server"), { code: "ECONNRESET" });
    const outcome = sql.begin("isolation level serializable", async (tx) => {
      await tx`insert into marks values (1)`;
      throw elsewhere;
    });
    await expect(outcome).rejects.toBe(elsewhere);
    expect(await marks()).toBe(0);
    await sql.end({ timeout: 1 });
  });

  test("a transaction commits what it did, and gives back what its body did", async () => {
    const sql = openSql({ type: "url", url: database.url }, { name: "commits", max: 1 });
    const made = await sql.begin((tx) => [tx`insert into marks values (1)`, tx`select 2 as two`]);
    expect(made[1]).toEqual([{ two: 2 }]);
    expect(await marks()).toBe(1);
    await sql.end({ timeout: 1 });
  });
});
