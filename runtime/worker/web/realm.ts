/**
 * What a `Worker` takes from the place where it is made: the main thread, or a worker.
 *
 * @module
 */

import type { MessagePort } from "node:worker_threads";
import { allPermissions, isNoWider, type PermissionSet } from "../../../machines/permissions.ts";
import type { Isolation } from "./carrier.ts";

/** Shared by all that were started without a `permissions` option: what one gives up, all lose. */
export interface PermissionHolder {
  readonly current: PermissionSet;
  /** Gives up what `set` has not; what it has more is ignored. Whom it is shared with loses it too. */
  narrow(set: PermissionSet): void;
}

/** @param onNarrow Told of each change. */
export function holdPermissions(
  first: PermissionSet,
  onNarrow: (set: PermissionSet) => void = () => undefined,
): PermissionHolder {
  let current = first;
  return {
    get current() {
      return current;
    },
    narrow: (set) => {
      if (!isNoWider(set, current)) return;
      current = set;
      onNarrow(set);
    },
  };
}

export interface Realm {
  readonly permissions: PermissionHolder;
  /** Environment that children are granted from. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `PATH`, by which names of programs are found. */
  readonly searchPath?: string;
  /** Base of relative specifiers; Deno has one only with `--location`. */
  readonly location?: string;
  /** Of workers that name none. Default: `thread`. */
  readonly isolation?: Isolation;
  /** Starts threads for this one, which is restricted and may not. */
  readonly nursery?: MessagePort;
}

let realm: Realm = { permissions: holdPermissions(allPermissions), env: {} };

export function currentRealm(): Realm {
  return realm;
}

export function enterRealm(entered: Realm): void {
  realm = entered;
}
