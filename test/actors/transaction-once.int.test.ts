import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { transactionOnce } from "../../actors/transaction-once.ts";
import { gate } from "../support/fault-run.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.sql`create table effects (step text)`;
});

afterAll(() => database.drop());

const step = (task: string) => ({ task, undo: false, name: "" });

async function effects(of: string): Promise<number> {
  const rows = await database.sql`select 1 from effects where step = ${of}`;
  return rows.length;
}

describe("transactionOnce()", () => {
  test("runs the body of the first attempt, and gives its output to all later ones", async () => {
    for (const attempt of [1, 2, 3]) {
      const output = await transactionOnce(database.sql, step("a"), async (tx) => {
        await tx`insert into effects values ('a')`;
        return { attempt };
      });
      expect(output).toEqual({ attempt: 1 });
    }
    expect(await effects("a")).toBe(1);
  });

  test("leaves nothing of a body that failed, and the next attempt runs it", async () => {
    const failing = transactionOnce(database.sql, step("b"), async (tx) => {
      await tx`insert into effects values ('b')`;
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await effects("b")).toBe(0);
    await transactionOnce(database.sql, step("b"), async (tx) => {
      await tx`insert into effects values ('b')`;
      return null;
    });
    expect(await effects("b")).toBe(1);
  });

  test("commits once when two attempts run beside each other", async () => {
    const [first, second] = [gate(), gate()];
    const bodies: number[] = [];
    const attempt = (number: number, wait: Promise<void>) =>
      transactionOnce(database.sql, step("c"), async (tx) => {
        bodies.push(number);
        first.open();
        await tx`insert into effects values ('c')`;
        await wait;
        return number;
      });
    const zombie = attempt(1, second.passed);
    await first.passed;
    const heir = attempt(2, Promise.resolve());
    second.open();
    expect(await Promise.all([zombie, heir])).toEqual([1, 1]);
    expect(bodies).toEqual([1]);
    expect(await effects("c")).toBe(1);
  });

  test("counts anew after it was undone, as often as that happens", async () => {
    const undo = { ...step("d"), undo: true };
    for (const round of [1, 2]) {
      await transactionOnce(database.sql, step("d"), async (tx) => {
        await tx`insert into effects values ('d')`;
        return round;
      });
      expect(await effects("d")).toBe(1);
      await transactionOnce(database.sql, undo, async (tx) => {
        await tx`delete from effects where step = 'd'`;
        return round;
      });
      expect(await effects("d")).toBe(0);
    }
  });

  test("commits nothing when the output is no JSON", async () => {
    const odd = transactionOnce(database.sql, step("e"), async (tx) => {
      await tx`insert into effects values ('e')`;
      return (() => undefined) as never;
    });
    await expect(odd).rejects.toMatchObject({ code: "TRANSACTION_INVALID" });
    expect(await effects("e")).toBe(0);
  });
});
