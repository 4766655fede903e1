import { expect, test } from "vitest";
import { checkJson, maxJsonDepth } from "../../machines/json.ts";

function refuses(value: unknown, path: string, found: string): void {
  expect(checkJson(value)).toEqual({ type: "not-json", path, found });
}

test("checkJson() returns JSON as it is, without undefined properties", () => {
  const value = { a: [1, "two", null, true], b: { c: undefined, d: 0.5 } };
  expect(checkJson(value)).toEqual({
    type: "json",
    value: { a: [1, "two", null, true], b: { d: 0.5 } },
  });
});

test("checkJson() names the place of what JSON would change silently", () => {
  refuses({ a: [0, Number.NaN] }, "/a/1", "NaN");
  refuses({ "a/b~c": new Date(0) }, "/a~1b~0c", "a Date");
  refuses([new Map()], "/0", "a Map");
  refuses(1n, "", "bigint");
  refuses([undefined], "/0", "undefined");
  refuses({ f: () => 1 }, "/f", "function");
});

test("checkJson() ends on a circular value", () => {
  const value: Record<string, unknown> = {};
  value["self"] = value;
  refuses(value, "/self".repeat(maxJsonDepth), `a value more than ${maxJsonDepth} deep`);
});

test("checkJson() keeps a key named __proto__ as data", () => {
  const value: unknown = JSON.parse('{"__proto__":{"polluted":true}}');
  const checked = checkJson(value);
  expect(JSON.stringify(checked)).toBe('{"type":"json","value":{"__proto__":{"polluted":true}}}');
});
