import { describe, expect, test } from "vitest";
import { checkRunConcurrency, limitOf, namesIn, renderKey } from "../../machines/flow-options.ts";

describe("renderKey()", () => {
  const values = { customer: { id: 7, name: "Ann" }, dry: true, list: [1, 2], none: null };
  test.each([
    ["stripe", "stripe"],
    ["customer/{customer.id}", "customer/7"],
    ["{customer.name}-{dry}", "Ann-true"],
    ["{list}", "[1,2]"],
    ["{none}|{missing}|{customer.missing.deep}|{list.length}", "|||"],
    ["{toString}", ""],
  ])("%s gives %s", (template, key) => {
    expect(renderKey(template, values)).toBe(key);
  });

  test("a key never grows beyond what the database can index", () => {
    expect(renderKey("{long}", { long: "x".repeat(10_000) })).toHaveLength(500);
  });
});

test("namesIn() tells which inputs a template reads", () => {
  expect(namesIn("a/{customer.id}/{item}")).toEqual(["customer", "item"]);
});

describe("limitOf()", () => {
  const limits = {
    global: { limit: 50 },
    agents: { WEB: { limit: 3, rate: { limit: 5, perMs: 1_000 } } },
    keys: {
      "customer/*": { limit: 4 },
      "customer/vip/*": { limit: 9 },
      "customer/7": { limit: 1 },
    },
  };
  test.each([
    ["global", undefined, { limit: 50 }],
    ["agent/WEB", undefined, limits.agents.WEB],
    ["agent/OTHER", undefined, {}],
    ["key/customer/8", undefined, { limit: 4 }],
    ["key/customer/vip/8", undefined, { limit: 9 }],
    ["key/customer/7", undefined, { limit: 1 }],
    ["key/other", undefined, { limit: 1 }],
    ["key/other", { key: "other", limit: 6 }, { limit: 6 }],
    ["key/customer/8", { key: "customer/8", limit: 6 }, { limit: 4 }],
  ])("of %s, where the definition says %j, is %j", (pool, named, expected) => {
    expect(limitOf(pool, limits, named)).toEqual(expected);
  });
});

test("checkRunConcurrency() tells all that is wrong", () => {
  const wrong = { key: "{a}{b}", limit: 0, whenFull: "drop" as "skip" };
  expect(checkRunConcurrency(wrong, ["a"]).map(({ path }) => path)).toEqual([
    "key",
    "limit",
    "whenFull",
  ]);
  expect(checkRunConcurrency({ key: "{a}", limit: 2, whenFull: "replace" }, ["a"])).toEqual([]);
});
