/**
 * A denied permission as users see it: one error that no retry repeats, and that says what to add where.
 *
 * @module
 */

import { AgentError } from "../../../machines/error-code.ts";
import { type PermissionName, permissionNames } from "../../../machines/permissions.ts";

interface Denial {
  readonly permission: PermissionName;
  /** Path, host, variable or program; absent where Node does not tell. */
  readonly resource?: string;
}

/** An error may stand behind others, as `fetch failed` does. */
const maxCauses = 5;

/** Node's scopes of its permission model. */
const scopes: Readonly<Record<string, PermissionName>> = {
  FileSystem: "read",
  FileSystemRead: "read",
  FileSystemWrite: "write",
  Net: "net",
  ChildProcess: "run",
  Addon: "ffi",
  FFI: "ffi",
};

const verbs: Readonly<Record<PermissionName, string>> = {
  read: "read",
  write: "write",
  net: "reach",
  env: "see the variable",
  sys: "ask the system for",
  run: "run",
  ffi: "load",
  import: "import from",
};

/**
 * The error `PERMISSION_DENIED` when `error`, or what caused it, is a denial by Node, by a guard or by the
 * maker. An `AgentError` on the way keeps its own words.
 */
export function permissionDenied(
  { agent, action }: { readonly agent: string; readonly action: string },
  error: unknown,
): AgentError | undefined {
  const denial = denialOf(error);
  if (denial === undefined) return undefined;
  const { permission, resource } = denial;
  const what = resource === undefined ? "anything" : JSON.stringify(resource);
  const grant = permission === "ffi" ? "true" : resource === undefined ? "[…]" : `[${what}]`;
  return new AgentError(
    "PERMISSION_DENIED",
    `Cannot finish ${agent}.${action}: ${agent} may not ${verbs[permission]} ${what}; ` +
      `if it should, add it to the agent's definition: permissions: { ${permission}: ${grant} }`,
    { cause: error },
  );
}

function denialOf(thrown: unknown): Denial | undefined {
  let error = thrown;
  for (let depth = 0; depth < maxCauses; depth += 1) {
    if (!(error instanceof Error) || error instanceof AgentError) return undefined;
    const denial = readDenial(error);
    if (denial !== undefined) return denial;
    error = error.cause;
  }
  return undefined;
}

function readDenial(error: NodeJS.ErrnoException): Denial | undefined {
  if (error.code === "ERR_ACCESS_DENIED") return ofNode(error);
  if (error.code === "ERR_DLOPEN_DISABLED") return { permission: "ffi" };
  // Deno's own has no code.
  const isDeno = error.code === "NOT_CAPABLE" || error.name === "NotCapable";
  return isDeno ? ofDeno(error.message) : undefined;
}

interface NodeDenial {
  readonly permission?: unknown;
  readonly resource?: unknown;
  readonly syscall?: unknown;
  readonly address?: unknown;
  readonly port?: unknown;
}

function ofNode(error: Error): Denial | undefined {
  const { permission, resource, syscall, address, port } = error as NodeDenial;
  if (syscall === "connect" && typeof address === "string") {
    const host = typeof port === "number" ? `${address}:${port}` : `unix:${address}`;
    return { permission: "net", resource: host };
  }
  const name = syscall === "getaddrinfo" ? "net" : scopes[String(permission)];
  if (name === undefined) return undefined;
  return typeof resource === "string" && resource !== ""
    ? { permission: name, resource: plainPath(resource) }
    : { permission: name };
}

/** Windows: Node tells the long form. */
function plainPath(path: string): string {
  return path.replace(/^\\\\\?\\/, "");
}

/** `Requires read access to "/x", run again with the --allow-read flag`. */
function ofDeno(message: string): Denial | undefined {
  const match = /^Requires (\w+) access(?: to ("(?:[^"\\]|\\.)*"))?/.exec(message);
  const permission = permissionNames.find((name) => name === match?.[1]);
  if (permission === undefined) return undefined;
  return match?.[2] === undefined
    ? { permission }
    : { permission, resource: JSON.parse(match[2]) as string };
}
