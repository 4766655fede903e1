/**
 * What an agent declares becomes what its thread holds: names of places that only the node knows are filled in.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import type { AgentCard, Grant } from "../../../actors/define-agent.ts";
import type { HostFacts } from "../../../actors/ports.ts";
import type { DatabaseTarget } from "../../../db/client.ts";
import {
  allPermissions,
  childPermissions,
  type PermissionOption,
  type PermissionSet,
  permissionNames,
} from "../../../machines/permissions.ts";
import { isIn, runtimeCodeRoots } from "./exec-argv.ts";
import { staticGraph } from "./static-graph.ts";

const defaultDatabasePort = 5432;
const defaultRedisPort = 6379;

/** What the node knows of where an agent runs. */
export interface AgentPlace {
  readonly host: HostFacts;
  readonly database: DatabaseTarget;
  /** Compiled module that exports the agent. */
  readonly moduleUrl: string;
}

/**
 * The permissions of an agent's thread. Who declares connections may reach the database. In a list, these stand for what the node knows:
 *
 *     <data> <reports> <work>    the data folder, and what agents may write of it
 *     <database> <redis>         host and port, or the socket; nothing where there is none
 *
 * A list item may go on below a folder: `<work>/probe`.
 * @throws {TypeError | URIError} When a grant is malformed.
 */
export function permissionsOf(
  { permissions, capabilities }: Pick<AgentCard, "permissions" | "capabilities">,
  { host, database, moduleUrl }: AgentPlace,
): PermissionSet {
  const option = Object.fromEntries(
    permissionNames.map((name) => [name, filledIn(permissions[name], host, database)]),
  );
  const usesDatabase = Object.values(capabilities).some(({ connections }) => connections > 0);
  return childPermissions(
    allPermissions,
    {
      ...option,
      net: usesDatabase ? extended(option["net"], databaseHosts(database)) : option["net"],
      read: extended(option["read"], codeOf(moduleUrl)),
    },
    { cwd: process.cwd(), resolveProgram },
  );
}

/** By the `PATH` of this process; what is not there cannot be run. */
function resolveProgram(name: string): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => isAbsolute(folder))
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

/** The code itself: public, and read by whoever runs it. A module of the user's lies elsewhere. */
function codeOf(moduleUrl: string): readonly string[] {
  const roots = runtimeCodeRoots();
  return isIn(roots, moduleUrl) ? roots : [...roots, ...staticGraph(moduleUrl)];
}

/** What `new Worker` is asked for to give exactly this set, which denies nothing. */
export function optionOf(set: PermissionSet): PermissionOption {
  return Object.fromEntries(
    permissionNames.map((name) => [name, set[name].granted === "all" ? true : set[name].granted]),
  );
}

/** A list, and more; a grant of everything stays. */
function extended(grant: Grant | undefined, more: readonly string[]): Grant {
  if (grant === true || grant === "inherit") return grant;
  return [...(typeof grant === "object" ? grant : []), ...more];
}

function filledIn(
  grant: Grant | undefined,
  host: HostFacts,
  database: DatabaseTarget,
): Grant | undefined {
  if (typeof grant !== "object") return grant;
  return grant.flatMap((item) => placeOf(item, host, database));
}

function placeOf(item: string, host: HostFacts, database: DatabaseTarget): readonly string[] {
  const match = /^<(\w+)>(\/.*)?$/.exec(item);
  if (match === null) return [item];
  const [, place = "", below = ""] = match;
  switch (place) {
    case "data":
      return [`${host.dataDir}${below}`];
    case "reports":
    case "work":
      return [`${host.dataDir}/${place}${below}`];
    case "database":
      return databaseHosts(database);
    case "redis":
      return host.redisUrl === undefined ? [] : urlHosts(host.redisUrl, defaultRedisPort);
    default:
      throw new TypeError(
        `Cannot grant "${item}": known places are <data>, <reports>, <work>, <database> and <redis>`,
      );
  }
}

function databaseHosts(target: DatabaseTarget): readonly string[] {
  if (target.type === "socket") return [`unix:${target.socketDir}/.s.PGSQL.${target.port}`];
  return urlHosts(target.url, defaultDatabasePort);
}

/** `scheme://user@a:1,b:2/name?host=/folder`: hosts as a client of the database reads them. */
function urlHosts(url: string, defaultPort: number): readonly string[] {
  const match = /^[a-z0-9+]+:\/\/(?:[^/?#]*@)?([^/?#]*)/i.exec(url);
  const authority = match?.[1] ?? "";
  const hosts = authority
    .split(",")
    .filter((host) => host !== "")
    .map((host) => (/:\d+$/.test(host) ? host : `${host}:${defaultPort}`));
  const folder = new URLSearchParams(/\?(.*)$/.exec(url)?.[1] ?? "").get("host");
  if (folder?.startsWith("/") === true) return [`unix:${folder}/.s.PGSQL.${defaultPort}`];
  return hosts.length === 0 ? [`localhost:${defaultPort}`] : hosts;
}
