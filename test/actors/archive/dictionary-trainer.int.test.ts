/**
 * A trained dictionary helps mails that it was not trained on.
 *
 * @module
 */

import { beforeAll, describe, expect, it } from "vitest";
import { openCodec } from "../../../actors/archive/codec.ts";
import { trainDictionary } from "../../../actors/archive/dictionary-trainer.ts";
import { readMails } from "../../support/mail-archive.ts";

let training: readonly Buffer[] = [];
let heldOut: readonly Buffer[] = [];

beforeAll(() => {
  const bodies = readMails(300).map(({ body }) => body.subarray(0, 64_000));
  training = bodies.filter((_, at) => at % 4 !== 0);
  heldOut = bodies.filter((_, at) => at % 4 === 0);
});

async function spaceSaved(dictionary?: Uint8Array): Promise<number> {
  const zstd = await openCodec("zstd:3");
  const raw = heldOut.reduce((sum, body) => sum + body.length, 0);
  return 1 - heldOut.reduce((sum, body) => sum + zstd.compress(body, dictionary).length, 0) / raw;
}

describe("trainDictionary()", () => {
  it("saves at least 5 points more on mails that it never saw", async () => {
    const dictionary = trainDictionary(training);
    expect((await spaceSaved(dictionary)) - (await spaceSaved())).toBeGreaterThan(0.05);
  });

  it("beats as many bytes of mails taken at random places", async () => {
    const dictionary = trainDictionary(training, { sizeBytes: 32_768 });
    const plain = Buffer.concat(training).subarray(0, 32_768);
    expect(await spaceSaved(dictionary)).toBeGreaterThan(await spaceSaved(plain));
  });

  it("gives the same bytes for the same bodies, within the size asked for", () => {
    const first = trainDictionary(training, { sizeBytes: 20_000 });
    expect(first.byteLength).toBeLessThanOrEqual(20_000);
    expect(first.byteLength).toBeGreaterThan(10_000);
    expect(Buffer.compare(first, trainDictionary(training, { sizeBytes: 20_000 }))).toBe(0);
  });

  it("is empty when bodies have nothing in common", () => {
    const bodies = Array.from({ length: 20 }, (_, at) => Buffer.alloc(600, at + 1));
    expect(trainDictionary(bodies.slice(0, 1)).byteLength).toBe(0);
    expect(trainDictionary([]).byteLength).toBe(0);
    expect(trainDictionary(bodies).byteLength).toBe(0);
  });
});
