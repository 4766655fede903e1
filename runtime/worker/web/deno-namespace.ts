/**
 * The part of Deno's namespace that a worker of ours offers: permissions, environment, exit, and
 * what a program needs to find out where it is.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { hostname, release } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import {
  NotCapable,
  type PermissionName,
  permissionNames,
  queryPermission,
  requirePermission,
  revoke,
} from "../../../machines/permissions.ts";
import { itemContext } from "./item-context.ts";
import type { PermissionHolder } from "./realm.ts";

/** Deno's descriptor; which of the last five counts depends on the name. */
interface PermissionDescriptor {
  readonly name: PermissionName;
  readonly path?: string | URL;
  readonly host?: string;
  readonly variable?: string;
  readonly kind?: string;
  readonly command?: string | URL;
}

class PermissionStatus extends EventTarget {
  readonly name: PermissionName;
  readonly state: "granted" | "prompt" | "denied";
  readonly partial: boolean;
  onchange: null = null;

  constructor(name: PermissionName, state: PermissionStatus["state"], partial: boolean) {
    super();
    this.name = name;
    this.state = state;
    this.partial = partial;
  }
}

export function createDenoNamespace(
  holder: PermissionHolder,
  exit: (code?: number) => never,
): object {
  return {
    pid: process.pid,
    args: [],
    build: { os: process.platform, arch: process.arch },
    exit,
    cwd: () => process.cwd(),
    env: environment(holder),
    errors: { NotCapable },
    permissions: permissions(holder),
    ...files(holder),
    hostname: () => checked(holder, "sys", "hostname", hostname),
    osRelease: () => checked(holder, "sys", "osRelease", release),
  };
}

function checked<T>(holder: PermissionHolder, name: PermissionName, item: string, use: () => T): T {
  requirePermission(holder.current, name, item, itemContext());
  return use();
}

/** Values are the copy that the worker started with; what it sets is its own. */
function environment(holder: PermissionHolder): object {
  const need = (name?: string): void => requirePermission(holder.current, "env", name);
  return {
    get: (name: string): string | undefined =>
      checked(holder, "env", name, () => process.env[name]),
    has: (name: string): boolean => checked(holder, "env", name, () => name in process.env),
    set: (name: string, value: string): void => {
      need(name);
      process.env[name] = value;
    },
    delete: (name: string): void => {
      need(name);
      // biome-ignore lint/performance/noDelete: undefined would become text.
      delete process.env[name];
    },
    toObject: (): Record<string, string | undefined> => {
      need();
      return { ...process.env };
    },
  };
}

function permissions(holder: PermissionHolder): object {
  const querySync = (descriptor: PermissionDescriptor): PermissionStatus => {
    const { name, item } = readDescriptor(descriptor);
    const { state, partial } = queryPermission(holder.current, name, item, itemContext());
    return new PermissionStatus(name, state, partial);
  };
  const revokeSync = (descriptor: PermissionDescriptor): PermissionStatus => {
    const { name, item } = readDescriptor(descriptor);
    holder.narrow(revoke(holder.current, name, item, itemContext()));
    return querySync(descriptor);
  };
  return {
    querySync,
    query: async (descriptor: PermissionDescriptor) => querySync(descriptor),
    // Nobody is there who could be asked, as with `--no-prompt`.
    requestSync: querySync,
    request: async (descriptor: PermissionDescriptor) => querySync(descriptor),
    revokeSync,
    revoke: async (descriptor: PermissionDescriptor) => revokeSync(descriptor),
  };
}

function readDescriptor(descriptor: PermissionDescriptor): {
  name: PermissionName;
  item: string | undefined;
} {
  const { name, path, host, variable, kind, command } = descriptor;
  if (!permissionNames.includes(name)) {
    throw new TypeError(
      `The provided value "${String(name)}" is not a valid permission name, use one of ${permissionNames.join(", ")}`,
    );
  }
  const items = {
    read: path,
    write: path,
    ffi: path,
    net: host,
    import: host,
    env: variable,
    sys: kind,
    run: command,
  };
  const item = items[name];
  return { name, item: item instanceof URL ? fileURLToPath(item) : item };
}

function files(holder: PermissionHolder): object {
  const pathOf = (path: string | URL): string =>
    path instanceof URL ? fileURLToPath(path) : String(path);
  return {
    readTextFileSync: (path: string | URL): string =>
      checked(holder, "read", pathOf(path), () => readFileSync(path, "utf8")),
    readTextFile: async (path: string | URL): Promise<string> =>
      checked(holder, "read", pathOf(path), () => readFile(path, "utf8")),
  };
}
