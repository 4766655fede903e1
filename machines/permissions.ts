/**
 * What a worker may do, in Deno's words, and what a child of it may get.
 *
 * @module
 */

export const permissionNames = [
  "read",
  "write",
  "net",
  "env",
  "sys",
  "run",
  "ffi",
  "import",
] as const;

export type PermissionName = (typeof permissionNames)[number];

/** One permission: everything or a list of grants, less what is denied. A denial always wins. */
export interface PermissionRule {
  readonly granted: "all" | readonly string[];
  readonly denied: "all" | readonly string[];
}

/** The effective permissions of one worker. */
export type PermissionSet = Readonly<Record<PermissionName, PermissionRule>>;
