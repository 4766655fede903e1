/**
 * Finds a running supervisor and talks to its HTTP API.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import { readDataDirLock } from "../../native/data-dir-lock.ts";

/** An answer that takes longer is given up. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The verb could not be done; the message is one line for people. */
export class VerbError extends Error {
  override readonly name = "VerbError";
  readonly code: "NO_SUPERVISOR" | "UNREACHABLE" | "REFUSED";

  constructor(code: VerbError["code"], message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}

export interface ApiClient {
  readonly url: string;
  /** `path` starts after `/api/v1`. @throws {VerbError} */
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: Json): Promise<T>;
  delete(path: string): Promise<void>;
}

/** The API at `url`, or of the supervisor that holds the data folder. @throws {VerbError} `NO_SUPERVISOR`. */
export async function openApiClient(target: {
  readonly url: string | undefined;
  readonly dataDir: string;
}): Promise<ApiClient> {
  const url = target.url ?? (await urlOf(target.dataDir));
  const call = async <T>(method: string, path: string, body?: Json): Promise<T> => {
    const response = await send(new URL(`/api/v1${path}`, url), method, body);
    const text = await response.text();
    if (!response.ok) throw refusal(response.status, text, url);
    if (response.status === 204) return undefined as T;
    return parse(text, url) as T;
  };
  return {
    url,
    get: (path) => call("GET", path),
    post: (path, body = {}) => call("POST", path, body),
    delete: (path) => call("DELETE", path),
  };
}

async function urlOf(dataDir: string): Promise<string> {
  const holder = await readDataDirLock(dataDir);
  if (holder === undefined) {
    throw new VerbError(
      "NO_SUPERVISOR",
      `No supervisor runs on the data folder "${dataDir}"; start one with: npm run supervisor`,
    );
  }
  if (holder.url === undefined) {
    throw new VerbError(
      "NO_SUPERVISOR",
      `The supervisor of "${dataDir}" (pid ${holder.pid}) does not answer yet: it is starting or stopping`,
    );
  }
  return holder.url;
}

async function send(url: URL, method: string, body: Json | undefined): Promise<Response> {
  try {
    return await fetch(url, {
      method,
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      headers: { accept: "application/json", "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    const reason = (cause as Error).cause ?? cause;
    const why = reason instanceof Error ? reason.message : String(reason);
    throw new VerbError("UNREACHABLE", `Cannot reach the supervisor at ${url.origin}: ${why}`, {
      cause,
    });
  }
}

interface ProblemBody {
  readonly detail?: string;
  readonly code?: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
}

function refusal(status: number, text: string, url: string): VerbError {
  let problem: ProblemBody;
  try {
    problem = JSON.parse(text) as ProblemBody;
  } catch (cause) {
    return new VerbError("REFUSED", `${url} answered with status ${status}`, { cause });
  }
  const what = problem.detail ?? `The supervisor answered with status ${status}`;
  const lines = refusalText(`${what} (${problem.code ?? status})`, problem.errors ?? []);
  return new VerbError("REFUSED", lines);
}

/** What was refused, and below it a line for each field that is wrong. */
export function refusalText(
  what: string,
  fields: readonly { readonly pointer: string; readonly detail: string }[],
): string {
  return [what, ...fields.map(({ pointer, detail }) => `  ${pointer}: ${detail}`)].join("\n");
}

function parse(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new VerbError("REFUSED", `Cannot understand ${url}: it does not answer with JSON`, {
      cause,
    });
  }
}
