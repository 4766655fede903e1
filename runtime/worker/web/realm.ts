/**
 * What a `Worker` takes from the place where it is made: the main thread, or a worker.
 *
 * @module
 */

import { allPermissions, type PermissionSet } from "../../../machines/permissions.ts";
import type { Isolation } from "./carrier.ts";

/** Shared by all that were started without a `permissions` option: what one gives up, all lose. */
export interface PermissionHolder {
  current: PermissionSet;
}

export interface Realm {
  readonly permissions: PermissionHolder;
  /** Environment that children are granted from. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Base of relative specifiers; Deno has one only with `--location`. */
  readonly location?: string;
  /** Of workers that name none. Default: `thread`. */
  readonly isolation?: Isolation;
}

let realm: Realm = { permissions: { current: allPermissions }, env: {} };

export function currentRealm(): Realm {
  return realm;
}

export function enterRealm(entered: Realm): void {
  realm = entered;
}
