/**
 * Opens the worker of a remote actor, on any carrier.
 *
 * @module
 */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Permissions } from "../../../actors/define-agent.ts";
import {
  allPermissions,
  childPermissions,
  type PermissionSet,
} from "../../../machines/permissions.ts";
import { compiledUrl } from "../thread-url.ts";
import type { Carrier, CarrierListener, Isolation } from "../web/carrier.ts";
import { openCarrier } from "../web/open-carrier.ts";

/** Which actor is to run where; data only. */
export interface ActorSource {
  readonly name: string;
  /** URL of JavaScript. */
  readonly module: string;
  readonly permissions?: Permissions;
  readonly isolation?: Isolation;
}

/** Of an actor's worker: its state is written whole at each commit, and is small. */
const heapLimitMb = 512;

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
const entry = compiledUrl(new URL(`./actor-host.${extension}`, import.meta.url));

export function openActorWorker(
  source: ActorSource,
  address: string,
  incarnation: number,
  listener: CarrierListener,
): Carrier {
  return openCarrier(
    source.isolation ?? "thread",
    {
      url: entry,
      name: `${address}#${incarnation}`,
      permissions: permissionsOf(source),
      env: {},
      heapLimitMb,
    },
    listener,
  );
}

/** What the definition asks for, and the folder of its module, without which it could not be loaded. */
function permissionsOf({ module, permissions = {} }: ActorSource): PermissionSet {
  const { read } = permissions;
  const folder = module.startsWith("file:") ? [dirname(fileURLToPath(module))] : [];
  const wanted = Array.isArray(read) ? [...read, ...folder] : read === true ? true : folder;
  return childPermissions(allPermissions, { ...permissions, read: wanted });
}
