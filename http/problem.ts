/**
 * Problem details (RFC 9457): what every refused request gets as its body.
 *
 * @module
 */

import { RequestError } from "../runtime/system.ts";

/** A field of the request that is wrong. `pointer` is a JSON pointer into the part that `in` names. */
export interface InvalidField {
  readonly pointer: string;
  readonly detail: string;
  readonly in?: "body" | "query" | "header";
}

/** Stable codes of this API; callers compare these, never the text. */
export type ProblemCode =
  | "NOT_FOUND"
  | "INVALID"
  | "CONFLICT"
  | "UNAVAILABLE"
  | "ROUTE_UNKNOWN"
  | "METHOD_NOT_ALLOWED"
  | "MALFORMED_JSON"
  | "UNSUPPORTED_MEDIA_TYPE"
  | "BODY_TOO_LARGE"
  | "HOST_REFUSED"
  | "ORIGIN_REFUSED"
  | "UNAUTHORIZED"
  | "UPGRADE_REQUIRED"
  | "DASHBOARD_NOT_BUILT"
  | "INTERNAL";

const TITLES: Readonly<Record<ProblemCode, readonly [status: number, title: string]>> = {
  NOT_FOUND: [404, "Not found"],
  INVALID: [422, "Invalid request"],
  CONFLICT: [409, "Conflict with the current state"],
  UNAVAILABLE: [503, "Temporarily unavailable"],
  ROUTE_UNKNOWN: [404, "Unknown route"],
  METHOD_NOT_ALLOWED: [405, "Method not allowed"],
  MALFORMED_JSON: [400, "Malformed JSON"],
  UNSUPPORTED_MEDIA_TYPE: [415, "Unsupported media type"],
  BODY_TOO_LARGE: [413, "Body too large"],
  HOST_REFUSED: [403, "Host refused"],
  ORIGIN_REFUSED: [403, "Origin refused"],
  UNAUTHORIZED: [401, "Unauthorized"],
  UPGRADE_REQUIRED: [426, "Upgrade required"],
  DASHBOARD_NOT_BUILT: [503, "Dashboard not built"],
  INTERNAL: [500, "Internal error"],
};

/** Thrown by routes and guards to answer with a problem; the app turns it into a response. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly code: ProblemCode;
  readonly fields: readonly InvalidField[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ProblemCode,
    detail: string,
    options: {
      fields?: readonly InvalidField[];
      headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(detail);
    this.code = code;
    this.fields = options.fields ?? [];
    this.headers = options.headers ?? {};
  }
}

/** The JSON body of a problem. `type` is a stable URN because the API has no public home page. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ProblemCode;
  readonly instance?: string;
  readonly errors?: readonly InvalidField[];
}

/** Builds the body for a code. `instance` is the path of the request. */
export function problemOf(
  code: ProblemCode,
  detail: string,
  fields: readonly InvalidField[] = [],
  instance?: string,
): Problem {
  const [status, title] = TITLES[code];
  return {
    type: `urn:spectra:problem:${code.toLowerCase().replaceAll("_", "-")}`,
    title,
    status,
    detail,
    code,
    ...(instance === undefined ? {} : { instance }),
    ...(fields.length === 0 ? {} : { errors: fields }),
  };
}

/** Turns anything thrown into a problem. Unknown errors become `INTERNAL` and say nothing of their inside. */
export function problemFrom(thrown: unknown, instance?: string): Problem {
  if (thrown instanceof ProblemError) {
    return problemOf(thrown.code, thrown.message, thrown.fields, instance);
  }
  if (thrown instanceof RequestError) {
    return problemOf(thrown.code, thrown.message, thrown.fields, instance);
  }
  return problemOf(
    "INTERNAL",
    "Cannot answer: an unexpected error happened and was written to the log",
    [],
    instance,
  );
}

export function problemResponse(
  problem: Problem,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      ...(problem.code === "UNAVAILABLE" ? { "retry-after": "1" } : {}),
      ...headers,
    },
  });
}
