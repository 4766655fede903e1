/**
 * Generates bodies whose duplicates are known, out of real ones, repeatably.
 *
 * Truth is by construction, then checked with real similarities and independent of MinHash and bands:
 * originals are lines of many different bodies in random order; an exact duplicate differs in transport
 * header and white space only; a near duplicate has some words changed and stays above the threshold; a
 * lookalike has so many changed that it falls clearly below, and must not be found.
 *
 * @module
 */

import type { DedupSettings } from "./dedup-settings.ts";
import { normaliseBody } from "./dedup-text.ts";
import { jaccard, shinglesOf } from "./minhash.ts";
import { createRandom, type Random } from "./random.ts";

export type PlantedKind = "original" | "exact" | "near" | "lookalike" | "unique";

export interface Planted {
  readonly id: string;
  readonly kind: PlantedKind;
  /** Ids of one duplicate family share it; for unique bodies and lookalikes their own id. */
  readonly family: string;
  readonly body: Buffer;
  /** Real similarity to the original it was made from; 1 for originals and uniques. */
  readonly similarity: number;
}

/** How far planted similarities keep from the threshold: what lies closer has no sure truth. */
export const truthMargin = 0.02;
const linesPerOriginal = 40;
/** Lines shorter than this say too little. */
const minLineChars = 25;
const attemptsPerVariant = 12;

/** Distinct lines of the sample's normalised bodies. */
export function linePool(bodies: readonly Uint8Array[]): readonly string[] {
  const lines = new Set<string>();
  for (const body of bodies) {
    for (const line of normaliseBody(body).toString("latin1").split("\n")) {
      if (line.length >= minLineChars && line.length < 400 && /[a-z]{3} [a-z]/i.test(line)) {
        lines.add(line);
      }
    }
  }
  return [...lines].sort();
}

/** Takes lines out of the pool, so that no two originals share one. */
function takeLines(pool: string[], random: Random): string[] {
  const taken: string[] = [];
  while (taken.length < linesPerOriginal && pool.length > 0) {
    const at = random.below(pool.length);
    const line = pool[at] ?? "";
    pool[at] = pool.at(-1) ?? "";
    pool.pop();
    taken.push(line);
  }
  return taken;
}

/** A transport header as no other body has it. */
function header(random: Random): string {
  const n = random.below(1e9).toString(36);
  return `Received: from relay${n}.example.net by mx.example.org with ESMTP id ${n}\r\nFrom: ${n}@example.net\r\nSubject: ${n}\r\nMessage-Id: <${n}@example.net>\r\n\r\n`;
}

/** Replaces `count` words, spread at random, by words that occur nowhere else. */
function changeWords(text: string, count: number, random: Random): string {
  const words = text.split(/( |\n)/);
  for (let change = 0; change < count; change += 1) {
    const at = random.below(Math.ceil(words.length / 2)) * 2;
    words[at] = `w${random.below(1e9).toString(36)}`;
  }
  return words.join("");
}

function withWhitespace(lines: readonly string[]): string {
  return lines.map((line) => `${line.replaceAll(" ", "  ")} \r\n`).join("\r\n");
}

interface Variant {
  readonly body: Buffer;
  readonly similarity: number;
}

/** A variant whose real similarity lies in [from, to], or undefined when no attempt got there. */
function variantWithin(
  text: string,
  range: { readonly from: number; readonly to: number },
  settings: DedupSettings,
  random: Random,
): Variant | undefined {
  const original = shinglesOf(Buffer.from(text, "latin1"), settings.shingleWords);
  const target = range.from + ((range.to - range.from) * random.below(1_000)) / 1_000;
  // One changed word changes `shingleWords` shingles; this many lead to about the target similarity.
  let changes = Math.max(
    1,
    Math.round((original.length * (1 - target)) / (1 + target) / settings.shingleWords),
  );
  for (let attempt = 0; attempt < attemptsPerVariant; attempt += 1) {
    const body = Buffer.from(header(random) + changeWords(text, changes, random), "latin1");
    const similarity = jaccard(original, shinglesOf(normaliseBody(body), settings.shingleWords));
    if (similarity >= range.from && similarity <= range.to) return { body, similarity };
    changes = Math.max(1, changes + (similarity > range.to ? 1 : -1));
  }
  return undefined;
}

export interface PlantingPlan {
  readonly bodies: readonly Uint8Array[];
  readonly settings: DedupSettings;
  readonly seed: number;
  /** Bodies to plant, all kinds together. */
  readonly count: number;
}

/**
 * Ids count from 1 in an order that mixes the kinds; originals come before their variants.
 * Fewer than `count` when the bodies hold too few lines.
 */
export function plantDuplicates(plan: PlantingPlan): readonly Planted[] {
  const { settings } = plan;
  const random = createRandom(plan.seed);
  const pool = [...linePool(plan.bodies)];
  const planted: Planted[] = [];
  const add = (kind: PlantedKind, family: string | undefined, variant: Variant): string => {
    const id = String(planted.length + 1);
    planted.push({ id, kind, family: family ?? id, ...variant });
    return id;
  };
  const near = { from: settings.threshold + truthMargin, to: 0.99 };
  const lookalike = { from: 0.2, to: settings.threshold - truthMargin };
  while (planted.length < plan.count) {
    const lines = takeLines(pool, random);
    if (lines.length < linesPerOriginal) break;
    const text = lines.join("\n");
    const body = Buffer.from(`${header(random)}${lines.join("\r\n")}\r\n`, "latin1");
    const choice = random.below(4);
    if (choice === 0) {
      add("unique", undefined, { body, similarity: 1 });
      continue;
    }
    const family = add("original", undefined, { body, similarity: 1 });
    if (choice === 1) {
      const copy = Buffer.from(header(random) + withWhitespace(lines), "latin1");
      add("exact", family, { body: copy, similarity: 1 });
      continue;
    }
    const variant = variantWithin(text, choice === 2 ? near : lookalike, settings, random);
    if (variant === undefined) continue;
    if (choice === 2) add("near", family, variant);
    else add("lookalike", undefined, variant);
  }
  return planted.slice(0, plan.count);
}
