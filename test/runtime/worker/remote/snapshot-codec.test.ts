import { expect, test } from "vitest";
import { createActor, createMachine } from "xstate";
import { decodeValue, encodeValue } from "../../../../runtime/worker/remote/snapshot-codec.ts";

function throughText(value: unknown): unknown {
  return decodeValue(JSON.parse(JSON.stringify(encodeValue(value))));
}

test.each<[string, unknown]>([
  ["plain data", { a: [1, "x", null, true, { b: {} }] }],
  ["numbers that JSON lacks", [Number.NaN, Infinity, -Infinity, -0, 0]],
  ["big integers", [2n ** 80n, -1n]],
  ["undefined in a list, and alone", [undefined, 1]],
  ["dates", { at: new Date(1_700_000_000_123) }],
  [
    "maps and sets, nested",
    new Map<unknown, unknown>([["k", new Set([1, new Map([[{ a: 1 }, 2n]])])]]),
  ],
  ["a value that looks like our own mark", { $spectra: "date", value: 1 }],
  ["a mark of ours within one", { $spectra: { $spectra: "x" }, at: new Date(5) }],
])("%s come back as they were", (_, value) => {
  expect(throughText(value)).toEqual(value);
});

test("an error keeps name, message, code and cause", () => {
  const error = Object.assign(new RangeError("too far", { cause: new TypeError("why") }), {
    code: "FAR",
  });
  const back = throughText({ error }) as { error: Error & { code: string; cause: Error } };
  expect(back.error).toBeInstanceOf(Error);
  expect(back.error).toMatchObject({ name: "RangeError", message: "too far", code: "FAR" });
  expect(back.error.cause).toMatchObject({ name: "TypeError", message: "why" });
});

test("an invalid date stays one, and a field that is undefined is left out", () => {
  const back = throughText({ at: new Date(Number.NaN), gone: undefined }) as { at: Date };
  expect(back.at.getTime()).toBeNaN();
  expect(Object.keys(back)).toEqual(["at"]);
});

class Own {}
const circular: { self?: unknown } = {};
circular.self = circular;
const actor = createActor(createMachine({}));

test.each<[string, unknown, string]>([
  ["a function", { a: { run: () => 1 } }, "a function at /a/run"],
  ["a symbol", [Symbol("x")], "a symbol at /0"],
  ["an object of a class", { own: new Own() }, "a Own at /own"],
  ["an actor in a map", { kids: new Map([["k", actor]]) }, "a reference to an actor"],
  ["a circle", circular, "more than 128 deep"],
])("%s is refused, with its place", (_, value, text) => {
  expect(() => encodeValue(value)).toThrow(
    expect.objectContaining({ code: "NOT_STORABLE", message: expect.stringContaining(text) }),
  );
});

test("a kind that a later version wrote is refused, not guessed", () => {
  expect(() => decodeValue({ $spectra: "tensor", value: 1 })).toThrow(
    expect.objectContaining({ code: "NOT_STORABLE" }),
  );
});
