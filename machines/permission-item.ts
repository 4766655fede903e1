/**
 * One grant or denial of a list, in Deno's spelling: how it is read, and what it covers.
 *
 *     read, write, ffi   an absolute path and all below it
 *     net, import        `host`, `host:port`, `*.host`, `10.0.0.0/8`, `unix:/path`
 *     env                a name, or a prefix with `*` at its end
 *     sys                a kind, see `sysKinds`
 *     run                a program: absolute path, or a name that the caller could not resolve
 *
 * Texts of errors are Deno's (2.9).
 *
 * @module
 */

import type { PermissionName } from "./permissions.ts";

export const sysKinds = [
  "hostname",
  "inspector",
  "osRelease",
  "osUptime",
  "loadavg",
  "networkInterfaces",
  "systemMemoryInfo",
  "uid",
  "gid",
  "cpus",
  "homedir",
  "getegid",
  "statfs",
  "getPriority",
  "setPriority",
  "userInfo",
  "username",
] as const;

/** What a list item means outside of the list itself. */
export interface ItemContext {
  /** Absolute directory that relative paths are resolved against. Default `/`. */
  readonly cwd?: string;
  /** Absolute path of a program by name. `undefined` drops the grant, as Deno does. Default: the name stays. */
  readonly resolveProgram?: (name: string) => string | undefined;
}

/**
 * The item in the one spelling that `covers` compares, or `undefined` where it grants nothing.
 * @throws {URIError} For a bad host. @throws {TypeError} For an unknown sys kind. @throws {Error} For an empty item.
 */
export function parseItem(
  name: PermissionName,
  item: string,
  context: ItemContext = {},
): string | undefined {
  switch (name) {
    case "read":
    case "write":
    case "ffi":
      if (item === "") throw new Error("Empty path is not allowed");
      return absolutePath(item, context.cwd ?? "/");
    case "net":
    case "import":
      return parseHost(item);
    case "env":
      if (item === "") throw new Error("Empty env not allowed");
      return item;
    case "sys":
      if (!(sysKinds as readonly string[]).includes(item)) {
        throw new TypeError(`unknown system info kind "${item}"`);
      }
      return item;
    case "run":
      return parseProgram(item, context);
  }
}

/** Whether `grant` includes all that `item` means. Both parsed. */
export function covers(name: PermissionName, grant: string, item: string): boolean {
  switch (name) {
    case "read":
    case "write":
    case "ffi":
      return isWithin(grant, item);
    case "net":
    case "import":
      return hostCovers(grant, item);
    case "env":
      return grant.endsWith("*") ? item.startsWith(grant.slice(0, -1)) : grant === item;
    case "sys":
    case "run":
      return grant === item;
  }
}

/** Whether `path` is `directory` or lies below it. A sibling with the same prefix does not. */
export function isWithin(directory: string, path: string): boolean {
  if (directory === path) return true;
  return path.startsWith(directory.endsWith("/") ? directory : `${directory}/`);
}

/** `path` without `.`, `..` and double slashes; a relative one is taken from `cwd`. */
export function absolutePath(path: string, cwd: string): string {
  // Windows: `C:\a\b` becomes `C:/a/b`, which Node takes too.
  const plain = /^[A-Za-z]:[\\/]/.test(path) ? path.replaceAll("\\", "/") : path;
  const drive = /^[A-Za-z]:(?=\/)/.exec(plain)?.[0] ?? "";
  const rooted = plain.startsWith("/") || drive !== "" ? plain : `${cwd}/${plain}`;
  const segments: string[] = [];
  for (const segment of rooted.slice(drive.length).split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  return `${drive}/${segments.join("/")}`;
}

function parseProgram(item: string, { cwd, resolveProgram }: ItemContext): string | undefined {
  if (item === "") return undefined;
  if (item.includes("/")) return absolutePath(item, cwd ?? "/");
  return resolveProgram === undefined ? item : resolveProgram(item);
}

/** Lower case, checked: `host`, `host:port`, `[::1]:port`, `*.host`, `a.b.c.d/bits`, `unix:/path`. */
function parseHost(item: string): string {
  if (item.startsWith("unix:")) return `unix:${absolutePath(item.slice(5), "/")}`;
  if (/^https?:\/\//.test(item)) {
    throw new URIError(`invalid value '${item}': URLs are not supported, only domains and IPs`);
  }
  const bracketed = /^(\[[0-9a-fA-F:.]+\])(.*)$/.exec(item);
  const colon = item.indexOf(":");
  const host = bracketed?.[1] ?? (colon === -1 ? item : item.slice(0, colon));
  const rest = bracketed?.[2] ?? (colon === -1 ? "" : item.slice(colon));
  if (host === "") throw new URIError(`invalid empty host: '${host}'`);
  checkHost(host, item, bracketed !== null);
  if (rest === "") return host.toLowerCase();
  const port = rest.slice(1);
  if (port === "") throw new URIError(`invalid empty port in '${item}'`);
  if (!/^\d+$/.test(port) || Number(port) > 65_535) {
    throw new URIError(`invalid port in '${item}': '${port}'`);
  }
  return `${host.toLowerCase()}:${Number(port)}`;
}

function checkHost(host: string, item: string, isBracketed: boolean): void {
  if (isBracketed || parseSubnet(host) !== undefined) return;
  if (!/^(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?$/.test(host)) {
    throw new URIError(`invalid host '${item}': invalid char found in FQDN`);
  }
}

function hostCovers(grant: string, item: string): boolean {
  if (grant.startsWith("unix:") || item.startsWith("unix:")) return grant === item;
  const [wanted, given] = [splitPort(item), splitPort(grant)];
  if (given.port !== undefined && given.port !== wanted.port) return false;
  if (given.host === wanted.host) return true;
  if (given.host.startsWith("*.")) {
    // Deno: `*.a.com` includes `a.com` itself.
    const domain = given.host.slice(2);
    const host = wanted.host.startsWith("*.") ? wanted.host.slice(2) : wanted.host;
    return host === domain || host.endsWith(`.${domain}`);
  }
  return subnetCovers(given.host, wanted.host);
}

function splitPort(item: string): { readonly host: string; readonly port: string | undefined } {
  const match = /^(.*?)(?::(\d+))?$/.exec(
    item.startsWith("[") ? item.slice(item.indexOf("]")) : item,
  );
  if (!item.startsWith("[")) return { host: trimDot(match?.[1] ?? item), port: match?.[2] };
  return { host: item.slice(0, item.indexOf("]") + 1), port: match?.[2] };
}

function trimDot(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

interface Subnet {
  readonly address: number;
  readonly bits: number;
}

/** An IPv4 subnet; an address is one of 32 bits. */
function parseSubnet(host: string): Subnet | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(host);
  if (match === null) return undefined;
  const octets = match.slice(1, 5).map(Number);
  const bits = Number(match[5] ?? 32);
  if (octets.some((octet) => octet > 255) || bits > 32) return undefined;
  return { address: octets.reduce((sum, octet) => sum * 256 + octet, 0), bits };
}

function subnetCovers(grant: string, item: string): boolean {
  const [given, wanted] = [parseSubnet(grant), parseSubnet(item)];
  if (given === undefined || wanted === undefined || wanted.bits < given.bits) return false;
  const size = 2 ** (32 - given.bits);
  return Math.floor(given.address / size) === Math.floor(wanted.address / size);
}
