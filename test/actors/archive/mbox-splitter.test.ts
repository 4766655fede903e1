/**
 * Splitting and joining of mbox files.
 *
 * @module
 */

import fc from "fast-check";
import { expect, test } from "vitest";
import { type MboxPart, splitMbox, toMbox } from "../../../actors/archive/mbox-splitter.ts";

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function split(bytes: Buffer, size = 11, maxBytes = 1_000_000): Promise<MboxPart[]> {
  const parts: MboxPart[] = [];
  for await (const part of splitMbox(cut(bytes, size), maxBytes)) parts.push(part);
  return parts;
}

const line = fc.oneof(
  fc.constantFrom("", "From ", "From me to you", ">From a", ">>From b", "> From", "Fromage", "\r"),
  fc.string({ unit: "binary-ascii" }).map((text) => text.replaceAll("\n", " ")),
);
const message = fc
  .array(line, { minLength: 1, maxLength: 8 })
  .map((lines) => Buffer.from(`${lines.join("\n")}\n`, "latin1"));

test("splitMbox() gives back every message that toMbox() joined, however the bytes are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 40 }),
      async (messages, size) => {
        const joined = Buffer.concat(messages.map((content) => toMbox("From a@b Thu", content)));
        const parts = await split(joined, size);
        expect(
          parts.map((part) => (part.type === "message" ? part.content.toString("latin1") : "")),
        ).toEqual(messages.map((content) => content.toString("latin1")));
      },
    ),
    { numRuns: 150 },
  );
});

test("splitMbox() cuts only where an empty line stands before From", async () => {
  const parts = await split(
    Buffer.from("From a\nX: 1\n\ntext\nFrom here on\n\nFrom b\nX: 2\n\nend\n"),
  );
  expect(parts.map((part) => part.separator)).toEqual(["From a", "From b"]);
  expect(parts[0]).toMatchObject({ content: Buffer.from("X: 1\n\ntext\nFrom here on\n") });
});

test("splitMbox() reads files with CRLF", async () => {
  const parts = await split(
    Buffer.from("From a\r\nX: 1\r\n\r\none\r\n\r\nFrom b\r\nX: 2\r\n\r\ntwo\r\n"),
  );
  expect(parts).toMatchObject([
    { content: Buffer.from("X: 1\r\n\r\none\r\n") },
    { content: Buffer.from("X: 2\r\n\r\ntwo\r\n") },
  ]);
});

test("splitMbox() lets go of a message over the limit and goes on", async () => {
  const big = toMbox("From a", Buffer.from(`${"x".repeat(500)}\n`));
  const small = toMbox("From b", Buffer.from("small\n"));
  const parts = await split(Buffer.concat([big, small]), 64, 100);
  expect(parts).toMatchObject([{ type: "oversize" }, { type: "message", separator: "From b" }]);
});
