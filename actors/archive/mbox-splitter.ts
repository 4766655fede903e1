/**
 * Cuts an mbox file into messages with bounded memory, and joins messages into one.
 *
 * Format: mboxrd (Rahul Dhesi): a message starts after a line `From …` at the start of the file or after
 * an empty line, and ends before the empty line in front of the next one; inside it, `>From `, `>>From `…
 * lose one `>`.
 *
 * @module
 */

const newline = 0x0a;
const from = Buffer.from("From ");

export type MboxPart =
  | { readonly type: "message"; readonly separator: string; readonly content: Buffer }
  /** A message over the limit: its bytes were let go. */
  | { readonly type: "oversize"; readonly separator: string; readonly sizeBytes: number };

/**
 * Messages in file order. Yields nothing when the input does not start with `From `.
 * Memory: one message of at most `maxBytes`, plus a chunk.
 */
export async function* splitMbox(
  chunks: AsyncIterable<Buffer>,
  maxBytes: number,
): AsyncGenerator<MboxPart> {
  let open: Message | undefined;
  let afterBlank = true;
  for await (const line of lines(chunks, maxBytes)) {
    if (afterBlank && line.startsLine && startsWithFrom(line.bytes, 0)) {
      if (open !== undefined) yield finish(open);
      open = { separator: line.bytes.toString("latin1").trimEnd(), parts: [], sizeBytes: 0 };
      afterBlank = false;
      continue;
    }
    if (open === undefined) return;
    afterBlank = line.startsLine && isBlank(line.bytes);
    add(open, line.startsLine ? unquote(line.bytes) : line.bytes, maxBytes);
  }
  if (open !== undefined) yield finish(open);
}

interface Message {
  readonly separator: string;
  /** Undefined once the message was found too large. */
  parts: Buffer[] | undefined;
  sizeBytes: number;
}

function add(message: Message, bytes: Buffer, maxBytes: number): void {
  message.sizeBytes += bytes.length;
  if (message.sizeBytes > maxBytes) message.parts = undefined;
  message.parts?.push(bytes);
}

function finish({ separator, parts, sizeBytes }: Message): MboxPart {
  if (parts === undefined) return { type: "oversize", separator, sizeBytes };
  const last = parts.at(-1);
  // The empty line in front of the next separator belongs to the mbox, not to the message.
  if (last !== undefined && isBlank(last)) parts.pop();
  return { type: "message", separator, content: Buffer.concat(parts) };
}

interface Line {
  readonly bytes: Buffer;
  /** False for the later pieces of a line that is longer than a chunk may be. */
  readonly startsLine: boolean;
}

/** Pieces end with a newline, except the last of the input and pieces of overlong lines. */
async function* lines(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Line> {
  let rest: Buffer = Buffer.alloc(0);
  let startsLine = true;
  for await (const chunk of chunks) {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = data.indexOf(newline, start); end >= 0; end = data.indexOf(newline, start)) {
      yield { bytes: data.subarray(start, end + 1), startsLine };
      startsLine = true;
      start = end + 1;
    }
    rest = data.subarray(start);
    if (rest.length > Math.min(maxBytes, 1024 * 1024)) {
      yield { bytes: rest, startsLine };
      startsLine = false;
      rest = Buffer.alloc(0);
    }
  }
  if (rest.length > 0) yield { bytes: rest, startsLine };
}

function isBlank(bytes: Buffer): boolean {
  return bytes[0] === newline || (bytes[0] === 0x0d && bytes[1] === newline);
}

function startsWithFrom(bytes: Buffer, at: number): boolean {
  return (
    bytes.length >= at + from.length &&
    bytes.compare(from, 0, from.length, at, at + from.length) === 0
  );
}

function unquote(line: Buffer): Buffer {
  if (line[0] !== 0x3e) return line;
  let quotes = 1;
  while (line[quotes] === 0x3e) quotes += 1;
  return startsWithFrom(line, quotes) ? line.subarray(1) : line;
}

/** One message as it stands in an mbox file: separator line, quoted content, empty line. */
export function toMbox(separator: string, content: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.from(`${separator}\n`, "latin1")];
  let start = 0;
  while (start < content.length) {
    const found = content.indexOf(newline, start);
    const end = found < 0 ? content.length : found + 1;
    let quotes = start;
    while (content[quotes] === 0x3e) quotes += 1;
    if (startsWithFrom(content, quotes)) parts.push(Buffer.from(">"));
    parts.push(content.subarray(start, end));
    start = end;
  }
  parts.push(Buffer.from(content.length === 0 || content.at(-1) === newline ? "\n" : "\n\n"));
  return Buffer.concat(parts);
}
