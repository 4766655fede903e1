/**
 * The pick follows the goal.
 *
 * @module
 */

import { describe, expect, it } from "vitest";
import { type CodecTrial, pickCodec } from "../../../actors/archive/codec-trial.ts";

function trial(
  codec: string,
  spaceSaved: number,
  compressMbPerS: number,
  external = false,
): CodecTrial {
  return {
    codec,
    dictionary: false,
    external,
    bodies: 10,
    rawBytes: 1_000_000,
    storedBytes: Math.round((1 - spaceSaved) * 1_000_000),
    spaceSaved,
    compressMbPerS,
    expandMbPerS: 100,
  };
}

const goal = { spaceSaved: 0.65, compressMbPerS: 10, totalBytes: 30_000_000 };
const check = (trials: readonly CodecTrial[], expected: string): void => {
  expect(pickCodec(trials, goal).trial.codec).toBe(expected);
};

describe("pickCodec()", () => {
  it("takes the one that saves most of those that save enough and are fast enough", () => {
    check([trial("a:1", 0.66, 90), trial("b:1", 0.7, 20), trial("c:1", 0.75, 2)], "b:1");
  });

  it("takes the fastest that saves enough when none is fast enough", () => {
    check([trial("a:1", 0.5, 90), trial("b:1", 0.7, 5), trial("c:1", 0.75, 2)], "b:1");
  });

  it("takes the one that saves most when none saves enough", () => {
    check([trial("a:1", 0.5, 90), trial("b:1", 0.6, 5)], "b:1");
  });

  it("never takes a program", () => {
    check([trial("xz:6", 0.9, 90, true), trial("a:1", 0.5, 1)], "a:1");
    expect(() => pickCodec([trial("xz:6", 0.9, 90, true)], goal)).toThrow(
      expect.objectContaining({ code: "CODEC_UNAVAILABLE" }),
    );
  });
});
