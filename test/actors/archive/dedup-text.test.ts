/**
 * What is left of a body for deduplication.
 *
 * @module
 */

import { describe, expect, it } from "vitest";
import { normaliseBody } from "../../../actors/archive/dedup-text.ts";

const check = (body: string, expected: string): void => {
  expect(normaliseBody(Buffer.from(body, "latin1")).toString("latin1")).toBe(expected);
};

describe("normaliseBody()", () => {
  it("drops the header block of a mail with its folded lines and mailbox line", () => {
    check(
      "From a@b Thu Aug 22 2002\nReceived: from x\n\tby y\nSubject: Hi\nTo: z\n\nHello\nworld\n",
      "Hello\nworld",
    );
    check("From: a\r\nTo: b\r\n\r\nHello\r\n", "Hello");
  });

  it("keeps a chat message that begins like a header", () => {
    check("Note: buy milk\n\nand bread", "Note: buy milk\nand bread");
    check("Subject: only one field\n\ntext", "Subject: only one field\ntext");
  });

  it("evens out white space and line ends, nothing else", () => {
    check("a\t\t b \r\n\r\n\r\n  c  \rD!", "a b\nc\nD!");
  });

  it("finds an empty body behind a header", () => {
    check("From: a\nTo: b\nSubject: c\n", "");
    check("From: a\nTo: b\n\n", "");
    check("", "");
  });

  it("keeps every byte that is not white space", () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
    const kept = normaliseBody(bytes);
    for (let byte = 128; byte < 256; byte += 1)
      expect(kept.includes(byte) || byte === 160).toBe(true);
  });
});
