/** @module Tests that the first error of a JSON text is found where `JSON.parse` finds one. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { locateJsonError } from "../../runtime/json-syntax.ts";

function check(text: string, expected: string | undefined): void {
  const found = locateJsonError(text);
  const shown = found && `${found.line}:${found.column} ${found.problem}`;
  expect(shown).toBe(expected);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("locateJsonError()", () => {
  test("finds nothing in JSON", () =>
    check(' {"a": [1, -2.5e3, "x\\n", true, null, {}]}\n', undefined));
  test("names a comment", () => check('{\n "a": 1 // one\n}', "2:9 JSON has no comments"));
  test("names a missing comma", () =>
    check('{"a": 1\n"b": 2}', '2:1 "," or "}" must follow here, not "b"'));
  test("names an unquoted key", () =>
    check("{port: 1}", '1:2 a key in double quotes or "}" must follow here, not port'));
  test("names a string that does not end", () =>
    check(
      '["x',
      '1:2 a value or "]" must follow here, not a string without an end on its line, or with a bad escape',
    ));
  test("names an early end", () =>
    check('{"a":', "1:6 the file ends too early, a value must follow"));
  test("names text after the end", () => check("{} x", "1:4 nothing must follow here, not x"));

  test("agrees with JSON.parse on any mutation of a JSON text", () => {
    fc.assert(
      fc.property(
        fc.json(),
        fc.nat(),
        fc.constantFrom(",", "}", "]", '"', "x", "1", ":", ""),
        (json, seed, piece) => {
          const at = seed % (json.length + 1);
          const text = json.slice(0, at) + piece + json.slice(at + 1);
          expect(locateJsonError(text) === undefined).toBe(isJson(text));
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
