/**
 * Planted truth is true.
 *
 * @module
 */

import { beforeAll, describe, expect, it } from "vitest";
import { type DedupSettings, dedupSettings } from "../../../actors/archive/dedup-settings.ts";
import { normaliseBody } from "../../../actors/archive/dedup-text.ts";
import { scoreClusters } from "../../../actors/archive/dedup-trial.ts";
import { jaccard, shinglesOf } from "../../../actors/archive/minhash.ts";
import {
  type Planted,
  plantDuplicates,
  truthMargin,
} from "../../../actors/archive/planted-duplicates.ts";
import { readMails } from "../../support/mail-archive.ts";

const settings: DedupSettings = dedupSettings.parse({
  shingleWords: 4,
  permutations: 128,
  bands: 32,
  rows: 4,
  threshold: 0.75,
  minShingles: 12,
  seed: 1,
  bloom: { expectedMembers: 1_000, falsePositiveRate: 0.01 },
});
let bodies: readonly Buffer[] = [];
let planted: readonly Planted[] = [];

beforeAll(() => {
  bodies = readMails(700).map(({ body }) => body);
  planted = plantDuplicates({ bodies, settings, seed: 3, count: 200 });
});

describe("plantDuplicates()", () => {
  it("is the same for the same seed and another one for another", () => {
    const again = plantDuplicates({ bodies, settings, seed: 3, count: 200 });
    expect(again.map(({ body }) => body.toString("latin1"))).toEqual(
      planted.map(({ body }) => body.toString("latin1")),
    );
    const other = plantDuplicates({ bodies, settings, seed: 4, count: 200 });
    expect(other[0]?.body.equals(planted[0]!.body)).toBe(false);
  });

  it("has all kinds, and every pair of bodies agrees with the families by a margin", () => {
    expect(planted).toHaveLength(200);
    const kinds = new Set(planted.map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(["exact", "lookalike", "near", "original", "unique"]);
    const sets = planted.map(({ body }) => shinglesOf(normaliseBody(body), settings.shingleWords));
    for (const [at, one] of planted.entries()) {
      for (const [before, other] of planted.slice(0, at).entries()) {
        const similarity = jaccard(sets[at]!, sets[before]!);
        if (one.family === other.family) {
          expect(similarity).toBeGreaterThanOrEqual(settings.threshold + truthMargin);
        } else expect(similarity).toBeLessThanOrEqual(settings.threshold - truthMargin);
      }
    }
  });
});

describe("scoreClusters()", () => {
  const item = (id: string, family: string): Planted => ({
    id,
    family,
    kind: "original",
    body: Buffer.alloc(0),
    similarity: 1,
  });
  const truth = [item("1", "1"), item("2", "1"), item("3", "3"), item("4", "4")];

  it("is perfect for the truth", () => {
    const score = scoreClusters(
      truth,
      new Map([
        ["1", "a"],
        ["2", "a"],
      ]),
    );
    expect(score).toMatchObject({ accuracy: 1, precision: 1, recall: 1, wrong: [] });
  });

  it("counts a missed pair against recall and both of its messages", () => {
    const score = scoreClusters(truth, new Map());
    expect(score).toMatchObject({ accuracy: 0.5, precision: 1, recall: 0, wrong: ["1", "2"] });
  });

  it("counts a wrong member against precision and everyone in its cluster", () => {
    const score = scoreClusters(
      truth,
      new Map([
        ["1", "a"],
        ["2", "a"],
        ["3", "a"],
      ]),
    );
    expect(score).toMatchObject({ accuracy: 0.25, precision: 1 / 3, recall: 1 });
  });
});
