/**
 * Codecs give back what they got, and say so when stored bytes were changed.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCodec } from "../../../actors/archive/codec.ts";
import { packBody, unpackBody } from "../../../actors/archive/stored-body.ts";

const dictionary = Buffer.from(
  "Received: from mail.example.org by mx.example.net with ESMTP id ".repeat(9),
);
const body = fc.oneof(
  fc.uint8Array({ maxLength: 3_000 }),
  fc.string({ maxLength: 3_000 }).map((text) => Buffer.from(text)),
  fc
    .array(fc.constantFrom("Received: from ", "mail.example.org ", "\r\n", "\0"), {
      maxLength: 200,
    })
    .map((words) => Buffer.from(words.join(""))),
);

describe.each(["zstd:1", "zstd:9", "brotli:5", "gzip:6", "deflate:6"])("%s", (id) => {
  it("gives back every body, with the dictionary where it takes one", async () => {
    const codec = await openCodec(id);
    const dictionaries = codec.takesDictionary ? [undefined, dictionary] : [undefined];
    fc.assert(
      fc.property(body, fc.constantFrom(...dictionaries), (raw, used) => {
        const stored = packBody(codec, raw, used);
        const back = unpackBody(codec, stored, raw.byteLength, used);
        expect(Buffer.compare(back, raw)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it("refuses stored bytes in which any one bit is another", async () => {
    const codec = await openCodec(id);
    const raw = Buffer.from("To be or not to be, that is the question.\r\n".repeat(20));
    const stored = packBody(codec, raw);
    fc.assert(
      fc.property(fc.nat(stored.length * 8 - 1), (bit) => {
        const changed = Buffer.from(stored);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        let back: Uint8Array | undefined;
        try {
          back = unpackBody(codec, changed, raw.byteLength);
        } catch (error) {
          expect(error).toMatchObject({ code: "BODY_CORRUPT", retryable: false });
        }
        // Bits that a format does not use may change; the body must not.
        if (back !== undefined) expect(Buffer.compare(back, raw)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it("refuses a wrong length", async () => {
    const codec = await openCodec(id);
    const stored = packBody(codec, Buffer.from("twelve bytes"));
    for (const rawBytes of [0, 11, 13]) {
      expect(() => unpackBody(codec, stored, rawBytes)).toThrow(
        expect.objectContaining({ code: "BODY_CORRUPT" }),
      );
    }
  });
});

describe("openCodec()", () => {
  it("refuses an unknown name and a missing level", async () => {
    for (const id of ["lzma:1", "zstd", "zstd:x", ""]) {
      await expect(openCodec(id)).rejects.toMatchObject({ code: "CODEC_UNKNOWN" });
    }
  });

  it("refuses a dictionary where the format has none", async () => {
    const gzip = await openCodec("gzip:6");
    expect(() => gzip.compress(dictionary, dictionary)).toThrow(
      expect.objectContaining({ code: "DICTIONARY_REFUSED" }),
    );
  });
});
