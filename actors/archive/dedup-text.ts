/**
 * Reduces a body to what makes two messages the same to a reader: mail without its header block, white
 * space evened out. Works on bytes as Latin-1, so every encoding is treated alike and nothing is lost.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** Fields of which a header block has at least two; without them a block is text that looks like one. */
const knownField =
  /^(?:received|return-path|delivered-to|from|to|cc|subject|date|message-id|mime-version|content-type|reply-to|sender|x-[a-z-]+):/i;
const fieldLine = /^[!-9;-~]+:/;
const continuation = /^[ \t]/;
/** Longer blocks are not header blocks of mails. */
const maxHeaderChars = 128 * 1024;

/** Where the body starts: behind the header block and its empty line, or 0 where there is none. */
function bodyStart(text: string): number {
  let at = 0;
  let known = 0;
  for (let line = 0; at < Math.min(text.length, maxHeaderChars); line += 1) {
    const newline = text.indexOf("\n", at);
    const end = newline === -1 ? text.length : newline;
    const content = text.slice(at, end);
    if (content === "") return known >= 2 ? end + 1 : 0;
    const mailboxLine = line === 0 && /^>?From /.test(content);
    if (!mailboxLine && !continuation.test(content)) {
      if (!fieldLine.test(content)) return 0;
      if (knownField.test(content)) known += 1;
    }
    at = end + 1;
  }
  // A message that is all header has an empty body.
  return known >= 2 && at >= text.length ? text.length : 0;
}

/** The normalised body: line ends are LF, runs of blanks are one, no empty lines, nothing around it. */
export function normaliseBody(body: Uint8Array): Buffer {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const text = bytes.toString("latin1").replace(/\r\n?/g, "\n");
  const evened = text
    .slice(bodyStart(text))
    .replace(/[ \t\f\v]+/g, " ")
    .replace(/ ?\n[\n ]*/g, "\n")
    .trim();
  return Buffer.from(evened, "latin1");
}

/** SHA-256 of the normalised body in hex; equal hashes are exact duplicates. */
export function hashNormalised(normalised: Uint8Array): string {
  return createHash("sha256").update(normalised).digest("hex");
}
