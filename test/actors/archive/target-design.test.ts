/**
 * The design of the target tables.
 *
 * @module
 */

import { expect, test } from "vitest";
import { designTarget, maxPartitions } from "../../../actors/archive/target-design.ts";

const profile = (months: readonly string[]) => ({
  messages: months.length * 2,
  meanBodyBytes: 10,
  months: months.map((month) => ({ month, messages: 2, bytes: 20 })),
});

test("designTarget() makes a partition for each month that has messages, and a default one", () => {
  const { partitions, ddl } = designTarget(profile(["1970-01", "2038-12"]));
  expect(partitions.map(({ name }) => name)).toEqual([
    "messages_1970_01",
    "messages_2038_12",
    "messages_default",
  ]);
  expect(ddl.find((statement) => statement.includes("messages_2038_12"))).toContain(
    "from ('2038-12-01T00:00:00Z') to ('2039-01-01T00:00:00Z')",
  );
});

test("designTarget() leaves the sparsest months to the default partition when there are too many", () => {
  const months = Array.from({ length: 150 }, (_, index) => {
    const month = String((index % 12) + 1).padStart(2, "0");
    return `${2000 + Math.floor(index / 12)}-${month}`;
  });
  const many = profile(months);
  many.months[3] = { month: months[3]!, messages: 1, bytes: 1 };
  const { partitions } = designTarget({ ...many, messages: many.messages - 1 });
  expect(partitions).toHaveLength(maxPartitions + 1);
  expect(partitions.map(({ month }) => month)).not.toContain(months[3]);
  expect(partitions.at(-1)).toMatchObject({ month: null, messages: 59 });
});
