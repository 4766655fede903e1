/**
 * The streaming JSON scanner.
 *
 * @module
 */

import fc from "fast-check";
import { expect, test } from "vitest";
import {
  JsonScanError,
  type ScanChoice,
  type ScanEvent,
  scanJson,
} from "../../../actors/archive/json-scanner.ts";

async function* cut(text: string, sizes: readonly number[]): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function scan(
  text: string,
  choose: (path: readonly (string | number)[]) => ScanChoice,
  options: { sizes?: readonly number[]; maxValueBytes?: number } = {},
): Promise<ScanEvent[]> {
  const events: ScanEvent[] = [];
  for await (const event of scanJson(cut(text, options.sizes ?? [7]), {
    maxValueBytes: options.maxValueBytes ?? 1_000_000,
    choose,
  })) {
    events.push(event);
  }
  return events;
}

const elements = (path: readonly (string | number)[]): ScanChoice =>
  path.length < 2 ? (path[0] === undefined || path[0] === "list" ? "enter" : "skip") : "take";

test("scanJson() hands out each element of an entered list as JSON.parse would read it, however the bytes are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.jsonValue(), { maxLength: 8 }),
      fc.jsonValue(),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      async (list, other, sizes, isPretty) => {
        const text = JSON.stringify({ before: other, list, after: other }, null, isPretty ? 1 : 0);
        const events = await scan(text, elements, { sizes });
        const values = events.flatMap((event) =>
          event.type === "value" ? [JSON.parse(event.bytes.toString()) as unknown] : [],
        );
        expect(values).toEqual(JSON.parse(JSON.stringify(list)));
      },
    ),
    { numRuns: 60 },
  );
});

test("scanJson() finds any document that is cut short", async () => {
  const text = JSON.stringify({ skip: [{ a: "}" }], list: [{ a: 1 }, 'x\\"', [1]] });
  for (let end = 0; end < text.length; end += 1) {
    await expect(scan(text.slice(0, end), elements)).rejects.toMatchObject({ isTruncated: true });
  }
  expect((await scan(text, elements)).filter(({ type }) => type === "value")).toHaveLength(3);
});

test.each([
  ['{"list": [1 2]}', "comma"],
  ['{"list" 1}', "colon"],
  ["{list: 1}", "key"],
  ['{"list": []} x', "after the end"],
  ['{"list": [,]}', "Unexpected character"],
])("scanJson() refuses %s", async (text, what) => {
  await expect(scan(text, elements)).rejects.toThrow(what);
  await expect(scan(text, elements)).rejects.toBeInstanceOf(JsonScanError);
});

test("scanJson() lets go of a value over the limit and goes on", async () => {
  const events = await scan(JSON.stringify({ list: ["x".repeat(100), 7] }), elements, {
    maxValueBytes: 50,
  });
  expect(events.map(({ type }) => type)).toEqual(["oversize", "value", "end", "end"]);
  expect(events[0]).toMatchObject({ path: ["list", 0], sizeBytes: 102 });
});
