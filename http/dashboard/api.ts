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

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
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
  const fields = (problem.errors ?? []).map(({ pointer, detail }) => `${pointer}: ${detail}`);
  const detail = problem.detail ?? `the server answered ${response.status}`;
  throw new ApiError(problem.code ?? "UNKNOWN", [detail, ...fields].join(". "));
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
