/**
 * Who sends a command over HTTP, why, and under which key.
 *
 * @module
 */

import type { Context } from "hono";
import type { Operator } from "../runtime/system.ts";
import { ProblemError } from "./problem.ts";
import { API_ACTOR } from "./route.ts";

/** @throws {ProblemError} `INVALID` for a key that is empty, too long or not printable ASCII. */
export function idempotencyKeyOf(context: Context): string | undefined {
  const key = context.req.header("idempotency-key");
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  const detail = "Must be 1 to 255 printable ASCII characters without spaces";
  throw new ProblemError("INVALID", "Cannot accept the header Idempotency-Key", {
    fields: [{ pointer: "/idempotency-key", detail, in: "header" }],
  });
}

/** @throws {ProblemError} As `idempotencyKeyOf`. */
export function operatorOf(context: Context, reason?: string): Operator {
  const idempotencyKey = idempotencyKeyOf(context);
  return {
    actor: API_ACTOR,
    ...(reason === undefined ? {} : { reason }),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  };
}
