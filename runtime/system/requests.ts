/**
 * What every port of the facade shares: who asks, pages, refusals.
 *
 * @module
 */

/** Who asked for a control operation, and why; both go into the journal. */
export interface Actor {
  readonly actor: string;
  readonly reason?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

/** A request that the system refuses, with a stable code; `http/` turns it into problem details. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly code: "NOT_FOUND" | "INVALID" | "CONFLICT" | "UNAVAILABLE";
  /** JSON pointers of the invalid fields, with what is allowed there. */
  readonly fields: readonly { pointer: string; detail: string }[];

  constructor(
    code: RequestError["code"],
    message: string,
    fields: readonly { pointer: string; detail: string }[] = [],
  ) {
    super(message);
    this.code = code;
    this.fields = fields;
  }
}
