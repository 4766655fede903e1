/**
 * Walks a JSON document of any size with bounded memory: enters the containers that it is told to,
 * hands out the bytes of the values that it is told to take, and skips the rest.
 *
 * It checks the structure (brackets, strings, separators) of what it walks through, not the grammar of
 * skipped scalars; a taken value is only cut out, parsing it is the caller's.
 *
 * @module
 */

/** `enter`: walk into this array or object. `take`: hand out its bytes. `skip`: pass over it. */
export type ScanChoice = "enter" | "take" | "skip";

/** Keys and array indices from the root to a value. */
export type JsonPath = readonly (string | number)[];

export type ScanEvent =
  | { readonly type: "value"; readonly path: JsonPath; readonly bytes: Buffer }
  /** A value that was to be taken but has more than `maxValueBytes`. */
  | { readonly type: "oversize"; readonly path: JsonPath; readonly sizeBytes: number }
  /** An entered container ended. */
  | { readonly type: "end"; readonly path: JsonPath };

/** The document is not JSON, or ends too early; `offset` counts bytes from 0. */
export class JsonScanError extends Error {
  override readonly name = "JsonScanError";
  readonly isTruncated: boolean;
  readonly offset: number;
  constructor(message: string, offset: number, isTruncated: boolean) {
    super(`${message} at byte ${offset}`);
    this.offset = offset;
    this.isTruncated = isTruncated;
  }
}

export interface ScanOptions {
  readonly maxValueBytes: number;
  /** Asked at the start of every value inside entered containers. `open` is its first byte. */
  choose(path: JsonPath, open: "{" | "[" | "scalar"): ScanChoice;
}

const maxKeyBytes = 64 * 1024;
const maxDepth = 64;

interface Level {
  readonly isObject: boolean;
  index: number;
  key: string;
  state: "first" | "key" | "colon" | "value" | "comma";
}

/** A value that is being cut out or passed over. */
interface Span {
  readonly taken: boolean;
  readonly isScalar: boolean;
  depth: number;
  inString: boolean;
  escaped: boolean;
  parts: Buffer[] | undefined;
  sizeBytes: number;
  isKey: boolean;
}

const quote = 0x22;
const backslash = 0x5c;

/** @throws {JsonScanError} */
export async function* scanJson(
  chunks: AsyncIterable<Buffer>,
  options: ScanOptions,
): AsyncGenerator<ScanEvent> {
  const scan = createScan(options);
  let isFirst = true;
  for await (const chunk of chunks) {
    const hasMark = isFirst && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf;
    isFirst = false;
    yield* scan.push(hasMark ? chunk.subarray(3) : chunk);
  }
  yield* scan.finish();
}

interface Scan {
  push(chunk: Buffer): Generator<ScanEvent>;
  finish(): Generator<ScanEvent>;
}

function createScan(options: ScanOptions): Scan {
  const levels: Level[] = [];
  let span: Span | undefined;
  let isDone = false;
  let base = 0;

  const path = (): JsonPath => levels.map((level) => (level.isObject ? level.key : level.index));
  const fail = (at: number, what: string): never => {
    throw new JsonScanError(what, base + at, false);
  };

  function startValue(byte: number, at: number): void {
    const open = byte === 0x7b ? "{" : byte === 0x5b ? "[" : "scalar";
    if (open === "scalar" && !isScalarStart(byte)) fail(at, "Unexpected character");
    const choice = options.choose(path(), open);
    if (choice === "enter" && open !== "scalar") {
      if (levels.length >= maxDepth) fail(at, "Nested too deeply");
      levels.push({ isObject: open === "{", index: 0, key: "", state: "first" });
      return;
    }
    span = newSpan(choice === "take", open === "scalar", false);
  }

  function* endSpan(ended: Span): Generator<ScanEvent> {
    const level = levels.at(-1);
    if (ended.isKey && level !== undefined) {
      level.key = parseKey(ended.parts, (what) => fail(0, what));
      level.state = "colon";
      return;
    }
    if (ended.taken) {
      yield ended.parts === undefined
        ? { type: "oversize", path: path(), sizeBytes: ended.sizeBytes }
        : { type: "value", path: path(), bytes: Buffer.concat(ended.parts) };
    }
    afterValue();
  }

  function afterValue(): void {
    const level = levels.at(-1);
    if (level === undefined) isDone = true;
    else level.state = "comma";
  }

  function* structure(byte: number, at: number): Generator<ScanEvent> {
    if (isDone) fail(at, "Unexpected text after the end");
    const level = levels.at(-1);
    if (level === undefined) return startValue(byte, at);
    const close = level.isObject ? 0x7d : 0x5d;
    if (byte === close && (level.state === "first" || level.state === "comma")) {
      levels.pop();
      yield { type: "end", path: path() };
      return afterValue();
    }
    if (level.state === "comma") {
      if (byte !== 0x2c) fail(at, "Expected a comma");
      level.index += 1;
      level.state = level.isObject ? "key" : "value";
    } else if (level.state === "colon") {
      if (byte !== 0x3a) fail(at, "Expected a colon");
      level.state = "value";
    } else if (level.isObject && level.state !== "value") {
      if (byte !== quote) fail(at, "Expected a key");
      span = newSpan(true, true, true);
    } else {
      level.state = "value";
      startValue(byte, at);
    }
  }

  return {
    *push(chunk) {
      let at = 0;
      while (at < chunk.length) {
        if (span !== undefined) {
          const current: Span = span;
          const end = passOver(current, chunk, at);
          keep(
            current,
            chunk.subarray(at, end.at),
            current.isKey ? maxKeyBytes : options.maxValueBytes,
          );
          at = end.at;
          if (end.isEnd) {
            span = undefined;
            yield* endSpan(current);
          }
          continue;
        }
        const byte = chunk[at] ?? 0;
        if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
          at += 1;
          continue;
        }
        yield* structure(byte, at);
        // A span starts with this byte and reads it again.
        if (span === undefined) at += 1;
      }
      base += chunk.length;
    },
    *finish() {
      if (span !== undefined && span.isScalar && !span.inString && levels.length === 0) {
        const last: Span = span;
        span = undefined;
        yield* endSpan(last);
      }
      if (!isDone) throw new JsonScanError("The document ends too early", base, true);
    },
  };
}

function newSpan(taken: boolean, isScalar: boolean, isKey: boolean): Span {
  return {
    taken,
    isScalar,
    isKey,
    depth: 0,
    inString: false,
    escaped: false,
    parts: taken ? [] : undefined,
    sizeBytes: 0,
  };
}

function keep(span: Span, bytes: Buffer, maxBytes: number): void {
  span.sizeBytes += bytes.length;
  if (span.sizeBytes > maxBytes) span.parts = undefined;
  span.parts?.push(bytes);
}

/** Moves over the value in `chunk` from `at`; `at` of the result is the first byte behind what belongs to it. */
function passOver(span: Span, chunk: Buffer, from: number): { at: number; isEnd: boolean } {
  let { depth, inString, escaped } = span;
  let at = from;
  for (; at < chunk.length; at += 1) {
    const byte = chunk[at];
    if (inString) {
      if (escaped) escaped = false;
      else if (byte === backslash) escaped = true;
      else if (byte === quote) {
        inString = false;
        if (depth === 0) return { at: at + 1, isEnd: true };
      }
    } else if (byte === quote) inString = true;
    else if (byte === 0x7b || byte === 0x5b) depth += 1;
    else if (byte === 0x7d || byte === 0x5d) {
      // A bare number or word ends in front of what closes its container.
      if (depth === 0) return { at, isEnd: true };
      depth -= 1;
      if (depth === 0) return { at: at + 1, isEnd: true };
    } else if (depth === 0 && endsWord(byte)) return { at, isEnd: true };
  }
  span.depth = depth;
  span.inString = inString;
  span.escaped = escaped;
  return { at, isEnd: false };
}

function endsWord(byte: number | undefined): boolean {
  return byte === 0x2c || byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** A string, a number, true, false or null. */
function isScalarStart(byte: number): boolean {
  return (
    byte === quote ||
    byte === 0x2d ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x74 ||
    byte === 0x66 ||
    byte === 0x6e
  );
}

function parseKey(parts: Buffer[] | undefined, fail: (what: string) => never): string {
  if (parts === undefined) return fail(`A key is longer than ${maxKeyBytes} bytes`);
  try {
    const key: unknown = JSON.parse(Buffer.concat(parts).toString());
    if (typeof key === "string") return key;
  } catch {
    return fail("A key is not a valid string");
  }
  return fail("A key is not a string");
}
