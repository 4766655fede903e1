import fc from "fast-check";
import { expect, test } from "vitest";
import { toJsonb } from "../../db/jsonb.ts";

test.each([
  ["U+0000", "a\u0000b", "a\ufffdb"],
  ["several U+0000 in a row", "\u0000\u0000", "\ufffd\ufffd"],
  ["U+0000 after a backslash", "\\\u0000", "\\\ufffd"],
  ["the text of an escape, which is none", "\\u0000", "\\u0000"],
  ["half of a pair, as a cut emoji leaves it", "😀".slice(0, 1), "\ufffd"],
  ["the other half", "x😀".slice(2), "\ufffd"],
  ["the text of half a pair", "\\ud83d", "\\ud83d"],
  ["a whole pair", "😀", "😀"],
])("toJsonb() keeps what Postgres can store: %s", (_, given, stored) => {
  expect(JSON.parse(toJsonb({ [given]: [given] }))).toEqual({ [stored]: [stored] });
});

test("toJsonb() gives back every other value as it was", () => {
  const property = fc.property(fc.jsonValue({ stringUnit: "binary", maxDepth: 2 }), (value) => {
    const text = JSON.stringify(value);
    fc.pre(!text.includes("\\u0000"));
    expect(toJsonb(value)).toBe(text);
  });
  fc.assert(property, { numRuns: 200 });
});
