/**
 * Host lists for the network: all of Node's clients (http, https, http2, tls, fetch, WebSocket) connect
 * through `net.Socket`, so a few methods are the gate.
 *
 * @module
 */

import { createRequire } from "node:module";
import { covers } from "../../../machines/permission-item.ts";
import {
  type NotCapable,
  type PermissionSet,
  permits,
  requires,
} from "../../../machines/permissions.ts";
import { type Method, replaceMethod } from "./replace-method.ts";

const require = createRequire(import.meta.url);

export function guardNet(permissions: () => PermissionSet): void {
  const net = require("node:net") as Prototypes<"Socket" | "Server">;
  const dgram = require("node:dgram") as Prototypes<"Socket">;
  const refuse = (item: string): NotCapable | undefined =>
    mayReach(permissions(), item) ? undefined : requires("net", item);

  replaceMethod(net.Socket.prototype, "connect", (original) => (self, args) => {
    const error = refuse(connectTarget(args));
    if (error === undefined) return Reflect.apply(original, self, args);
    return failLater(self, error);
  });
  replaceMethod(net.Server.prototype, "listen", (original) => (self, args) => {
    throwIf(refuse(listenTarget(args)));
    return Reflect.apply(original, self, args);
  });
  for (const [name, targetOf] of [
    ["bind", bindTarget],
    ["connect", datagramConnectTarget],
    ["send", sendTarget],
  ] as const) {
    replaceMethod(dgram.Socket.prototype, name, (original) => (self, args) => {
      const target = targetOf(args);
      if (target !== undefined) throwIf(refuse(target));
      return Reflect.apply(original, self, args);
    });
  }
  guardDns(permissions);
}

type Prototypes<Name extends string> = Readonly<Record<Name, { readonly prototype: object }>>;

function throwIf(error: Error | undefined): void {
  if (error !== undefined) throw error;
}

/** As a refused connection fails in Node: with the socket's `error` event. */
function failLater(socket: unknown, error: Error): unknown {
  const { destroy } = socket as { readonly destroy: Method };
  process.nextTick(() => Reflect.apply(destroy, socket, [error]));
  return socket;
}

/** A malformed host is refused too. */
function mayReach(set: PermissionSet, item: string): boolean {
  try {
    return permits(set, "net", item);
  } catch {
    return false;
  }
}

interface ConnectOptions {
  readonly host?: unknown;
  readonly address?: unknown;
  readonly port?: unknown;
  readonly path?: unknown;
}

const isObject = (value: unknown): value is ConnectOptions =>
  typeof value === "object" && value !== null;

/** Node takes nothing but a string as the path of a socket, and no path beside a port. */
function unixPath({ path, port }: ConnectOptions): string | undefined {
  return typeof path === "string" && port === undefined ? `unix:${path}` : undefined;
}

/** Of `(options)`, `(port, host)`, `(path)`, and of the array that Node makes of these for itself. */
function connectTarget(args: readonly unknown[]): string {
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
  if (isObject(first)) {
    return unixPath(first) ?? hostPort(first.host ?? "localhost", first.port);
  }
  if (typeof first === "string" && !/^\d+$/.test(first)) return `unix:${first}`;
  return hostPort(typeof second === "string" ? second : "localhost", first);
}

function listenTarget(args: readonly unknown[]): string {
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
  if (isObject(first)) {
    return unixPath(first) ?? hostPort(first.host ?? "0.0.0.0", first.port ?? 0);
  }
  if (typeof first === "string" && !/^\d+$/.test(first)) return `unix:${first}`;
  return hostPort(
    typeof second === "string" ? second : "0.0.0.0",
    typeof first === "function" ? 0 : (first ?? 0),
  );
}

function bindTarget([first, second]: readonly unknown[]): string {
  if (isObject(first)) return hostPort(first.address ?? "0.0.0.0", first.port ?? 0);
  const port = typeof first === "function" || first === undefined ? 0 : first;
  return hostPort(typeof second === "string" ? second : "0.0.0.0", port);
}

function datagramConnectTarget([port, address]: readonly unknown[]): string {
  return hostPort(typeof address === "string" ? address : "127.0.0.1", port);
}

/** `(msg, port?, address?, cb?)` or `(msg, offset, length, port?, address?, cb?)`; none for a connected socket. */
function sendTarget(args: readonly unknown[]): string | undefined {
  const [, offset, length, port, address] = args;
  const isLong = Boolean(address) || (Boolean(port) && typeof port !== "function");
  const [toPort, toAddress] = isLong ? [port, address] : [offset, length];
  if (toPort === undefined || typeof toPort === "function") return undefined;
  return hostPort(typeof toAddress === "string" ? toAddress : "127.0.0.1", toPort);
}

function hostPort(host: unknown, port: unknown): string {
  const name = String(host);
  const bracketed = name.includes(":") && !name.startsWith("[") ? `[${name}]` : name;
  return `${bracketed}:${Number(port)}`;
}

/** A name may be looked up when some port of it may be reached. */
function guardDns(permissions: () => PermissionSet): void {
  const dns = require("node:dns") as Readonly<Record<string, unknown>> & {
    readonly promises: Readonly<Record<string, unknown>> & {
      readonly Resolver: { readonly prototype: object };
    };
    readonly Resolver: { readonly prototype: object };
  };
  const targets = [dns, dns.promises, dns.Resolver.prototype, dns.promises.Resolver.prototype];
  for (const target of targets) {
    for (const name of namesOf(target)) {
      if (!/^(?:lookup|lookupService|reverse|resolve.*)$/.test(name)) continue;
      replaceMethod(target, name, (original) => (self, args) => {
        const host = String(args[0]);
        if (!mayLookUp(permissions(), host)) throw requires("net", host);
        return Reflect.apply(original, self, args);
      });
    }
  }
}

/** Own and inherited; a `Resolver` has its methods from a base class. */
function namesOf(target: object): string[] {
  const base: unknown = Object.getPrototypeOf(target);
  const inherited = base === null || base === Object.prototype ? [] : namesOf(base as object);
  return [...new Set([...Object.getOwnPropertyNames(target), ...inherited])];
}

function mayLookUp(set: PermissionSet, host: string): boolean {
  if (mayReach(set, host.includes(":") ? `[${host}]` : host)) return true;
  const { granted, denied } = set.net;
  if (granted === "all" || denied === "all") return false;
  return granted.some((grant) => covers("net", grant.replace(/:\d+$/, ""), host.toLowerCase()));
}
