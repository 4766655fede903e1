/**
 * The page's requests to its own server.
 *
 * @module
 */

import type { Problem } from "../problem.ts";

/** A refused request, with the words of its problem details. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: string;
  /** What was refused, without the fields. */
  readonly summary: string;
  readonly fields: readonly { readonly pointer: string; readonly detail: string }[];

  constructor(code: string, summary: string, fields: ApiError["fields"] = []) {
    super([summary, ...fields.map(({ pointer, detail }) => `${pointer}: ${detail}`)].join(". "));
    this.code = code;
    this.summary = summary;
    this.fields = fields;
  }
}

/** How long a request may take. */
const TIMEOUT_MS = 30_000;

async function call(path: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(`/api/v1${path}`, {
    ...init,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ApiError("UNREACHABLE", `Cannot reach the server: ${reason}`);
  });
  if (response.ok) return response.json();
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const detail = problem.detail ?? `the server answered ${response.status}`;
  throw new ApiError(problem.code ?? "UNKNOWN", detail, problem.errors);
}

/** The caller names the shape that the route answers with. */
export async function getJson<T>(path: string): Promise<T> {
  return (await call(path, {})) as T;
}

export async function postJson<T>(
  path: string,
  body: object = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<T> {
  const init = {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", ...headers },
  };
  return (await call(path, init)) as T;
}
