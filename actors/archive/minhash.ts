/**
 * Estimates how alike two texts are from short signatures: MinHash over word shingles.
 *
 * Broder: "On the resemblance and containment of documents", 1997. The share of equal places in two
 * signatures of n hash functions is an unbiased estimate of the Jaccard similarity, with a standard
 * error of sqrt(J (1 - J) / n).
 *
 * @module
 */

/** Letters, digits and every byte above ASCII are part of a word; 0 ends a word. */
const wordBytes = new Uint8Array(256);
for (let byte = 0; byte < 256; byte += 1) {
  const isDigit = byte >= 48 && byte <= 57;
  const isLower = byte >= 97 && byte <= 122;
  const isUpper = byte >= 65 && byte <= 90;
  if (isDigit || isLower || byte >= 128) wordBytes[byte] = byte;
  else if (isUpper) wordBytes[byte] = byte + 32;
}

/** A good bit mixer of 32 bits (finaliser of MurmurHash3). */
export function mix32(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** FNV-1a hash of every word, case folded. */
function wordHashes(text: Uint8Array): number[] {
  const words: number[] = [];
  let hash = 0x811c9dc5;
  let inWord = false;
  for (const byte of text) {
    const letter = wordBytes[byte] ?? 0;
    if (letter !== 0) {
      hash = Math.imul(hash ^ letter, 0x01000193);
      inWord = true;
    } else if (inWord) {
      words.push(hash);
      hash = 0x811c9dc5;
      inWord = false;
    }
  }
  if (inWord) words.push(hash);
  return words;
}

/** Hashes of all runs of `width` words: sorted, each once. Empty when there are fewer words. */
export function shinglesOf(text: Uint8Array, width: number): Uint32Array {
  const words = wordHashes(text);
  const count = Math.max(0, words.length - width + 1);
  const hashes = new Uint32Array(count);
  for (let at = 0; at < count; at += 1) {
    let hash = 0;
    for (let offset = 0; offset < width; offset += 1) {
      hash = Math.imul(hash, 0x9e3779b1) + (words[at + offset] ?? 0);
      hash = (hash << 7) | (hash >>> 25);
    }
    hashes[at] = mix32(hash);
  }
  hashes.sort();
  let kept = 0;
  for (let at = 0; at < count; at += 1) {
    if (at > 0 && hashes[at] === hashes[at - 1]) continue;
    hashes[kept] = hashes[at] ?? 0;
    kept += 1;
  }
  return hashes.slice(0, kept);
}

/** Size of the intersection over size of the union of two sorted sets; 0 when both are empty. */
export function jaccard(a: Uint32Array, b: Uint32Array): number {
  let [i, j, both] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const [left, right] = [a[i] ?? 0, b[j] ?? 0];
    if (left === right) both += 1;
    if (left <= right) i += 1;
    if (right <= left) j += 1;
  }
  const union = a.length + b.length - both;
  return union === 0 ? 0 : both / union;
}

export interface MinHasher {
  /** `permutations` numbers; all 2^32 - 1 for an empty set. */
  signature(shingles: Uint32Array): Uint32Array;
}

/** The same seed gives the same hash functions, so signatures of different runs can be compared. */
export function createMinHasher(permutations: number, seed: number): MinHasher {
  const add = new Uint32Array(permutations);
  const multiply = new Uint32Array(permutations);
  for (let at = 0; at < permutations; at += 1) {
    // Mixed twice, so that no text's shingles can be the constants themselves.
    add[at] = mix32(mix32(seed) ^ Math.imul(at + 1, 0x9e3779b1));
    multiply[at] = mix32(mix32(~seed) ^ Math.imul(at + 1, 0x85ebca77)) | 1;
  }
  return {
    signature(shingles) {
      const minima = new Uint32Array(permutations).fill(0xffffffff);
      for (const shingle of shingles) {
        for (let at = 0; at < permutations; at += 1) {
          const product = Math.imul(shingle ^ (add[at] ?? 0), multiply[at] ?? 1);
          const hash = (product ^ (product >>> 15)) >>> 0;
          if (hash < (minima[at] ?? 0)) minima[at] = hash;
        }
      }
      return minima;
    },
  };
}

/** Share of equal places: the estimated Jaccard similarity of the two sets. */
export function estimateSimilarity(a: Uint32Array, b: Uint32Array): number {
  let equal = 0;
  for (let at = 0; at < a.length; at += 1) if (a[at] === b[at]) equal += 1;
  return a.length === 0 ? 0 : equal / a.length;
}
