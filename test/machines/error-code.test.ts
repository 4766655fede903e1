import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AgentError, toErrorRecord } from "../../machines/error-code.ts";

function chain(depth: number): Error {
  return new Error(`level ${depth}`, depth === 0 ? {} : { cause: chain(depth - 1) });
}

describe("toErrorRecord()", () => {
  test("keeps the code and the retryability of an AgentError", () => {
    const error = new AgentError("ARCHIVE_NOT_FOUND", "Cannot open it: not there");
    expect(toErrorRecord(error)).toMatchObject({
      name: "AgentError",
      code: "ARCHIVE_NOT_FOUND",
      message: "Cannot open it: not there",
      retryable: false,
    });
  });

  test("an unknown error is unexpected, and may be repeated", () => {
    expect(toErrorRecord(new TypeError("x"))).toMatchObject({
      name: "TypeError",
      code: "UNEXPECTED",
      retryable: true,
    });
  });

  test("says what was thrown when it is no error", () => {
    const messages = ["text", 7, null, undefined, { status: 404 }].map(
      (thrown) => toErrorRecord(thrown).message,
    );
    expect(messages).toEqual(["text", "7", "null", "undefined", '{"status":404}']);
  });

  test("keeps causes five deep at most, also of an error that causes itself", () => {
    const depthOf = (record: ReturnType<typeof toErrorRecord>): number =>
      record.cause === undefined ? 1 : 1 + depthOf(record.cause);
    expect(depthOf(toErrorRecord(chain(2)))).toBe(3);
    expect(depthOf(toErrorRecord(chain(20)))).toBe(5);
    const self = new Error("self");
    self.cause = self;
    expect(depthOf(toErrorRecord(self))).toBe(5);
  });

  test("never throws, and gives text that JSON keeps, whatever was thrown", () => {
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    const odd = [
      Object.create(null),
      circular,
      Symbol("s"),
      10n,
      () => 1,
      { toJSON: () => undefined },
      Object.assign(new Error("x"), { message: 5, stack: 6, code: 7 }),
    ];
    const anything = fc.oneof(
      fc.constantFrom(...odd),
      fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true }),
    );
    const property = fc.property(anything, (thrown: unknown) => {
      const record = toErrorRecord(thrown);
      expect(typeof record.message).toBe("string");
      expect(typeof record.code).toBe("string");
      expect(JSON.parse(JSON.stringify(record))).toEqual(record);
    });
    fc.assert(property, { numRuns: 300 });
  });
});
