/**
 * The part of Deno's namespace that a worker of ours offers.
 *
 * @module
 */

import { NotCapable, queryPermission, requirePermission } from "../../../machines/permissions.ts";
import type { PermissionHolder } from "./realm.ts";

interface PermissionDescriptor {
  readonly name: string;
}

export function createDenoNamespace(
  permissions: PermissionHolder,
  exit: (code?: number) => never,
): object {
  return {
    pid: process.pid,
    exit,
    env: {
      get: (name: string): string | undefined => {
        requirePermission(permissions.current, "env", name);
        return process.env[name];
      },
    },
    errors: { NotCapable },
    permissions: {
      query: async (_descriptor: PermissionDescriptor) => queryPermission,
    },
  };
}
