/**
 * The error for compressed bytes that cannot be what was stored.
 *
 * @module
 */

import { AgentError } from "../../machines/error-code.ts";

/** `BODY_CORRUPT`, never retryable: the same bytes fail the same way. */
export function corruptBody(codec: string, reason: string, cause?: unknown): AgentError {
  return new AgentError("BODY_CORRUPT", `Cannot expand a body stored with ${codec}: ${reason}`, {
    cause,
  });
}

/** Returns `raw` when it has the stored length. @throws {AgentError} `BODY_CORRUPT` otherwise. */
export function ofLength(raw: Uint8Array, rawBytes: number, codec: string): Uint8Array {
  if (raw.byteLength === rawBytes) return raw;
  throw corruptBody(codec, `it gave ${raw.byteLength} bytes, ${rawBytes} were stored`);
}
