/**
 * Trains a compression dictionary: the pieces of text that most bodies share.
 *
 * The method is COVER (Liao, Petri, Moffat, Wirth: "Effective Construction of Relative Lempel-Ziv
 * Dictionaries", WWW 2016) with the hashed frequency table of zstd's FASTCOVER description: count in how
 * many bodies each substring of `d` bytes occurs; cut the input into epochs; from each epoch take the
 * segment of `k` bytes whose distinct substrings have the highest sum of counts; set the counts of what
 * was taken to zero, so that the dictionary does not repeat itself. The best segments stand at the end,
 * where a match costs the shortest offset.
 *
 * @module
 */

export interface DictionaryOptions {
  /** Upper bound of the result. Default 112 KiB, the size that zstd's own trainer uses. */
  readonly sizeBytes?: number;
  /** Bytes of a segment (k of the paper). Default 512. */
  readonly segmentBytes?: number;
  /** Called now and then with the share that is done, 0 to 1; may throw to stop. */
  readonly onProgress?: (share: number) => void;
}

/** Substrings of this many bytes are counted (d of the paper). */
const substringBytes = 8;
/** log2 of the number of counters; collisions only blur the scores. */
const counterBits = 20;

/** Fibonacci hashing of the 8 bytes at `at` into `counterBits` bits. */
function hashAt(text: Buffer, at: number): number {
  const low = Math.imul(text.readUInt32LE(at), 0x9e3779b1);
  const high = Math.imul(text.readUInt32LE(at + 4), 0x85ebca77);
  return Math.imul((low ^ (low >>> 15)) + high, 0xc2b2ae3d) >>> (32 - counterBits);
}

/** In how many bodies each hashed substring occurs, and the hash at each offset of the joined text. */
function countSubstrings(bodies: readonly Uint8Array[], text: Buffer) {
  const counts = new Uint32Array(1 << counterBits);
  const lastBody = new Uint32Array(1 << counterBits);
  const hashes = new Uint32Array(text.length);
  let start = 0;
  for (const [index, body] of bodies.entries()) {
    const end = start + body.length;
    for (let at = start; at < end && at + substringBytes <= text.length; at += 1) {
      const hash = hashAt(text, at);
      hashes[at] = hash;
      if (lastBody[hash] === index + 1) continue;
      lastBody[hash] = index + 1;
      counts[hash] = (counts[hash] ?? 0) + 1;
    }
    start = end;
  }
  // What only one body holds helps no other.
  for (let hash = 0; hash < counts.length; hash += 1) if (counts[hash] === 1) counts[hash] = 0;
  return { counts, hashes };
}

interface Segment {
  readonly start: number;
  readonly score: number;
}

/** The best window of `segmentBytes` in [from, to): a sliding sum over the distinct substrings in it. */
function bestSegment(
  tables: { counts: Uint32Array; hashes: Uint32Array; inWindow: Uint16Array },
  from: number,
  to: number,
  segmentBytes: number,
): Segment {
  const { counts, hashes, inWindow } = tables;
  const width = Math.max(1, segmentBytes - substringBytes + 1);
  let best: Segment = { start: from, score: 0 };
  let score = 0;
  let left = from;
  for (let right = from; right < to; right += 1) {
    const entering = hashes[right] ?? 0;
    const times = inWindow[entering] ?? 0;
    if (times === 0) score += counts[entering] ?? 0;
    inWindow[entering] = times + 1;
    if (right - left >= width) {
      const leaving = hashes[left] ?? 0;
      const remaining = (inWindow[leaving] ?? 1) - 1;
      inWindow[leaving] = remaining;
      if (remaining === 0) score -= counts[leaving] ?? 0;
      left += 1;
    }
    if (score > best.score) best = { start: left, score };
  }
  for (; left < to; left += 1) inWindow[hashes[left] ?? 0] = 0;
  return best;
}

/**
 * A raw-content dictionary for the given bodies, best part last. The same input gives the same bytes.
 * Empty when the bodies have nothing in common.
 */
export function trainDictionary(
  bodies: readonly Uint8Array[],
  options: DictionaryOptions = {},
): Uint8Array {
  const sizeBytes = options.sizeBytes ?? 112 * 1024;
  const segmentBytes = options.segmentBytes ?? 512;
  const text = Buffer.concat(bodies);
  if (text.length < segmentBytes) return new Uint8Array(0);
  const { counts, hashes } = countSubstrings(bodies, text);
  const tables = { counts, hashes, inWindow: new Uint16Array(1 << counterBits) };
  const epochs = Math.max(
    1,
    Math.min(Math.ceil(sizeBytes / segmentBytes), Math.floor(text.length / segmentBytes)),
  );
  const epochBytes = Math.floor(text.length / epochs);
  const chosen: Segment[] = [];
  let left = sizeBytes;
  for (let epoch = 0; epoch < epochs && left >= substringBytes; epoch += 1) {
    options.onProgress?.(epoch / epochs);
    const from = epoch * epochBytes;
    const segment = bestSegment(
      tables,
      from,
      Math.min(from + epochBytes, text.length),
      segmentBytes,
    );
    if (segment.score === 0) continue;
    chosen.push(segment);
    left -= segmentBytes;
    const end = Math.min(segment.start + segmentBytes - substringBytes + 1, text.length);
    for (let at = segment.start; at < end; at += 1) counts[hashes[at] ?? 0] = 0;
  }
  chosen.sort((a, b) => a.score - b.score || a.start - b.start);
  const pieces = chosen.map(({ start }) => text.subarray(start, start + segmentBytes));
  const joined = Buffer.concat(pieces);
  return new Uint8Array(joined.subarray(Math.max(0, joined.length - sizeBytes)));
}
