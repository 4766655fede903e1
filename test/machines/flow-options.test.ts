import { describe, expect, test } from "vitest";
import { keyText, limitOf } from "../../machines/flow-options.ts";

describe("keyText()", () => {
  test.each([
    ["stripe", "stripe"],
    [7, "7"],
    [["customer", 7, true], "customer/7/true"],
    [{ a: 1 }, '{"a":1}'],
    [null, "null"],
  ])("%j gives %s", (value, text) => {
    expect(keyText(value)).toBe(text);
  });

  test("never grows beyond what the database can index", () => {
    expect(keyText("x".repeat(10_000))).toHaveLength(500);
  });
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
    ["key/other", 6, { limit: 6 }],
    ["key/customer/8", 6, { limit: 4 }],
  ])("of %s, where the definition says %j, is %j", (pool, named, expected) => {
    expect(limitOf(pool, limits, named)).toEqual(expected);
  });
});
