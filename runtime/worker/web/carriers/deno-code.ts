/**
 * What an agent in Deno must be able to read: its own code. Deno loads a worker's static imports
 * by itself, but an agent's module is imported when its worker adopts it, and that is checked.
 *
 * @module
 */

import { realpathSync } from "node:fs";
import { noPermissions, type PermissionSet } from "../../../../machines/permissions.ts";
import { codeRootsOf } from "../../permissions/exec-argv.ts";

/** `permissions`, and the code of the runtime and of the module, all of it public: in threads it is always readable. */
export function withAgentCode(permissions: PermissionSet, moduleUrl: string): PermissionSet {
  const { granted, denied } = permissions.read;
  if (granted === "all") return permissions;
  const code = codeRootsOf(moduleUrl, noPermissions);
  const paths = new Set([...granted, ...code, ...code.map(realPathOf)]);
  return { ...permissions, read: { granted: [...paths], denied } };
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // Not there: then there is nothing to read either.
    return path;
  }
}
