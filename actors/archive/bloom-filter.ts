/**
 * Says of a hash that it was certainly not seen, or maybe (Bloom, 1970).
 *
 * Places come from two parts of the hash (Kirsch, Mitzenmacher: "Less Hashing, Same Performance", 2006).
 *
 * @module
 */

export interface BloomFilter {
  readonly bits: number;
  readonly hashes: number;
  /** `hash` is a SHA-256 in hex. */
  add(hash: string): void;
  has(hash: string): boolean;
  /** Header of 12 bytes (magic, bits, hashes; little-endian) and the bit array. */
  toBytes(): Buffer;
}

const magic = 0x314d4c42;
const headerBytes = 12;
/** 512 MiB of bits; a filter is sized below it whatever is asked for. */
const maxBits = 2 ** 32 - 8;

/** Bits and hash functions for `expected` members at the wanted rate of false positives. */
export function bloomSize(expected: number, falsePositiveRate: number) {
  const wanted = Math.ceil((-Math.max(1, expected) * Math.log(falsePositiveRate)) / Math.LN2 ** 2);
  const bits = Math.min(maxBits, Math.max(64, Math.ceil(wanted / 8) * 8));
  const hashes = Math.max(1, Math.round((bits / Math.max(1, expected)) * Math.LN2));
  return { bits, hashes: Math.min(hashes, 16) };
}

/** (1 - e^(-k n / m))^k: the rate with `members` in the filter. */
export function expectedFalsePositiveRate(bits: number, hashes: number, members: number): number {
  return (1 - Math.exp((-hashes * members) / bits)) ** hashes;
}

function filterOn(bits: number, hashes: number, array: Uint8Array): BloomFilter {
  const placesOf = (hash: string): number[] => {
    const first = Number.parseInt(hash.slice(0, 12), 16);
    const second = Number.parseInt(hash.slice(12, 24), 16) | 1;
    return Array.from({ length: hashes }, (_, at) => (first + at * (second >>> 0)) % bits);
  };
  return {
    bits,
    hashes,
    add(hash) {
      for (const place of placesOf(hash)) {
        const byte = Math.floor(place / 8);
        array[byte] = (array[byte] ?? 0) | (1 << (place % 8));
      }
    },
    has: (hash) =>
      placesOf(hash).every(
        (place) => ((array[Math.floor(place / 8)] ?? 0) & (1 << (place % 8))) !== 0,
      ),
    toBytes() {
      const header = Buffer.alloc(headerBytes);
      header.writeUInt32LE(magic, 0);
      header.writeUInt32LE(bits, 4);
      header.writeUInt32LE(hashes, 8);
      return Buffer.concat([header, array]);
    },
  };
}

export function createBloomFilter(expected: number, falsePositiveRate: number): BloomFilter {
  const { bits, hashes } = bloomSize(expected, falsePositiveRate);
  return filterOn(bits, hashes, new Uint8Array(bits / 8));
}

/** What `toBytes` gave, or undefined when the bytes are something else. */
export function readBloomFilter(bytes: Uint8Array): BloomFilter | undefined {
  if (bytes.byteLength < headerBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [found, bits, hashes] = [0, 4, 8].map((at) => view.getUint32(at, true));
  if (found !== magic || bits === undefined || hashes === undefined) return undefined;
  if (bits % 8 !== 0 || bytes.byteLength !== headerBytes + bits / 8 || hashes > 16)
    return undefined;
  return filterOn(bits, hashes, new Uint8Array(bytes.subarray(headerBytes)));
}
