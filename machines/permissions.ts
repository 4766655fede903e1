/**
 * What a worker may do, in Deno's words, and what a child of it may get.
 *
 * A set is a value: narrowing or revoking makes a new one.
 * Follows Deno 2.9 (`create_child_permissions`), its texts included.
 *
 * @module
 */

import { covers, type ItemContext, parseItem } from "./permission-item.ts";

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

/** Value of one name in Deno's option; a URL must be `file:`. */
export type PermissionGrant = boolean | "inherit" | readonly (string | URL)[] | null | undefined;

/** Deno's `deno.permissions`. A name that is absent is not granted. */
export type PermissionOption =
  | "inherit"
  | "none"
  | null
  | undefined
  | { readonly [Name in PermissionName]?: PermissionGrant };

/** Deno's error for something that a permission does not allow. */
export class NotCapable extends Error {
  override readonly name = "NotCapable";
  readonly code = "NOT_CAPABLE";
  readonly retryable = false;
}

const everything: PermissionRule = { granted: "all", denied: [] };
const nothing: PermissionRule = { granted: [], denied: [] };

export const allPermissions: PermissionSet = setOf(() => everything);
export const noPermissions: PermissionSet = setOf(() => nothing);

/**
 * The permissions of a child that asks for `option`.
 * `undefined` and `null` give `parent` itself (shared); `"inherit"` a copy. The parent's denials always hold.
 * @throws {NotCapable} When the child would get more. @throws {TypeError} For a value of the wrong type.
 * @throws {URIError} For a bad host.
 */
export function childPermissions(
  parent: PermissionSet,
  option: unknown,
  context: ItemContext = {},
): PermissionSet {
  if (option === undefined || option === null) return parent;
  if (option === "inherit") return setOf((name) => copyOf(parent[name]));
  if (option === "none") return setOf((name) => ({ granted: [], denied: parent[name].denied }));
  if (typeof option !== "object") {
    throw new TypeError(`${describe(option)}, expected "inherit" or "none" or object`);
  }
  // Types are checked for all names before any grant is judged.
  const wanted = new Map(
    permissionNames.map((name) => [name, readGrant(name, (option as Grants)[name])] as const),
  );
  return setOf((name) => childRule(name, parent[name], wanted.get(name) ?? false, context));
}

type Grants = Readonly<Record<string, unknown>>;

/** @throws {NotCapable} With Deno's text: `Requires read access to "/x", run again with the --allow-read flag`. */
export function requirePermission(
  set: PermissionSet,
  name: PermissionName,
  item?: string,
  context: ItemContext = {},
): void {
  if (permits(set, name, item, context)) return;
  throw requires(name, item);
}

/** The error that Deno throws for a use that is not granted. */
export function requires(name: PermissionName, item?: string): NotCapable {
  const what = item === undefined ? `${name} access` : `${name} access to ${JSON.stringify(item)}`;
  return new NotCapable(`Requires ${what}, run again with the --allow-${name} flag`);
}

/** Whether `item` may be used; without an item, whether the permission is granted as a whole. */
export function permits(
  set: PermissionSet,
  name: PermissionName,
  item?: string,
  context: ItemContext = {},
): boolean {
  return queryPermission(set, name, item, context).state === "granted";
}

export interface PermissionQuery {
  /** `prompt`: not granted, and not denied by a rule either. */
  readonly state: "granted" | "prompt" | "denied";
  /** Granted, but something below the item is denied. */
  readonly partial: boolean;
}

/** What Deno's `Deno.permissions.query` says. @throws {URIError | TypeError | Error} For an item that is malformed. */
export function queryPermission(
  set: PermissionSet,
  name: PermissionName,
  item?: string,
  context: ItemContext = {},
): PermissionQuery {
  const parsed = item === undefined ? undefined : parseItem(name, item, context);
  // A program that cannot be found is not granted by any list.
  if (item !== undefined && parsed === undefined) {
    const { granted, denied } = set[name];
    const state = denied === "all" ? "denied" : granted === "all" ? "granted" : "prompt";
    return { state, partial: false };
  }
  return queryRule(name, set[name], parsed);
}

/** Whether `child` can do nothing that `parent` cannot, and holds all of its denials. */
export function isNoWider(child: PermissionSet, parent: PermissionSet): boolean {
  return permissionNames.every((name) => {
    const [inner, outer] = [child[name], parent[name]];
    return (
      listCovers(name, outer.granted, inner.granted) && listCovers(name, inner.denied, outer.denied)
    );
  });
}

/** The set after a revocation: of one item, or of the whole permission. Takes effect as a denial. */
export function revoke(
  set: PermissionSet,
  name: PermissionName,
  item?: string,
  context: ItemContext = {},
): PermissionSet {
  const rule = set[name];
  if (item === undefined) return { ...set, [name]: { granted: [], denied: rule.denied } };
  const parsed = parseItem(name, item, context);
  if (parsed === undefined) return set;
  const granted =
    rule.granted === "all" ? rule.granted : rule.granted.filter((g) => !covers(name, parsed, g));
  const denied = rule.denied === "all" ? rule.denied : [...rule.denied, parsed];
  return { ...set, [name]: { granted, denied } };
}

function setOf(ruleOf: (name: PermissionName) => PermissionRule): PermissionSet {
  return {
    read: ruleOf("read"),
    write: ruleOf("write"),
    net: ruleOf("net"),
    env: ruleOf("env"),
    sys: ruleOf("sys"),
    run: ruleOf("run"),
    ffi: ruleOf("ffi"),
    import: ruleOf("import"),
  };
}

function copyOf({ granted, denied }: PermissionRule): PermissionRule {
  return {
    granted: granted === "all" ? granted : [...granted],
    denied: denied === "all" ? denied : [...denied],
  };
}

function childRule(
  name: PermissionName,
  parent: PermissionRule,
  wanted: boolean | "inherit" | readonly string[],
  context: ItemContext,
): PermissionRule {
  if (wanted === "inherit") return copyOf(parent);
  if (wanted === false) return { granted: [], denied: parent.denied };
  if (wanted === true) {
    if (queryRule(name, parent, undefined).state !== "granted") throw escalation();
    return { granted: "all", denied: parent.denied };
  }
  const granted: string[] = [];
  for (const item of wanted) {
    const parsed = parseItem(name, item, context);
    if (parsed !== undefined) granted.push(parsed);
  }
  for (const item of granted) {
    const { state, partial } = queryRule(name, parent, item);
    if (state !== "granted" || partial) throw escalation();
  }
  return { granted, denied: parent.denied };
}

function escalation(): NotCapable {
  return new NotCapable("Can't escalate parent thread permissions");
}

/** `item` is parsed; `undefined` asks for the whole permission. */
function queryRule(
  name: PermissionName,
  { granted, denied }: PermissionRule,
  item: string | undefined,
): PermissionQuery {
  // Deno: of the prefix `A*`, only a denial of `A` itself or of a wider prefix counts.
  const judged = name === "env" && item !== undefined ? item.replace(/\*$/, "") : item;
  const isDenied =
    denied === "all" || (judged !== undefined && denied.some((rule) => covers(name, rule, judged)));
  if (isDenied) return { state: "denied", partial: false };
  const isGranted =
    granted === "all" || (item !== undefined && granted.some((rule) => covers(name, rule, item)));
  if (!isGranted) return { state: "prompt", partial: false };
  const partial =
    name !== "env" && denied.some((rule) => item === undefined || covers(name, item, rule));
  return { state: "granted", partial };
}

function listCovers(
  name: PermissionName,
  outer: "all" | readonly string[],
  inner: "all" | readonly string[],
): boolean {
  if (outer === "all") return true;
  if (inner === "all") return false;
  return inner.every((item) => outer.some((rule) => covers(name, rule, item)));
}

/** @throws {TypeError} With the path of the option in front, as serde tells it in Deno. */
function readGrant(name: PermissionName, value: unknown): boolean | "inherit" | readonly string[] {
  if (value === undefined || value === null) return false;
  if (typeof value === "boolean" || value === "inherit") return value;
  if (!Array.isArray(value)) {
    throw new TypeError(
      `(deno.permissions.${name}) ${describe(value)}, expected "inherit" or boolean or string[]`,
    );
  }
  return value.map((item: unknown) => readItem(name, item));
}

const takesUrls: ReadonlySet<PermissionName> = new Set(["read", "write", "run", "ffi"]);

function readItem(name: PermissionName, item: unknown): string {
  if (typeof item === "string") return item;
  if (item instanceof URL && takesUrls.has(name)) {
    if (item.protocol !== "file:") throw new TypeError("Must be a file URL");
    return decodeURIComponent(item.pathname);
  }
  throw new TypeError(`(deno.permissions.${name}) ${describe(item)}, expected a string`);
}

/** The value in serde's words. */
function describe(value: unknown): string {
  if (typeof value === "string") return `invalid value: string ${JSON.stringify(value)}`;
  if (typeof value === "boolean") return `invalid type: boolean \`${value}\``;
  if (typeof value === "number") {
    const kind = Number.isInteger(value) ? "integer" : "floating point";
    return `invalid type: ${kind} \`${value}\``;
  }
  if (typeof value !== "object") return `invalid type: ${typeof value}`;
  if (value === null) return "invalid type: null";
  return `invalid type: ${Array.isArray(value) ? "sequence" : "map"}`;
}
