/**
 * What somebody gets who cannot be trusted and says itself what it wants to hold.
 *
 * @module
 */

import { parseItem } from "./permission-item.ts";
import {
  isNoWider,
  NotCapable,
  type PermissionName,
  type PermissionRule,
  type PermissionSet,
  permissionNames,
} from "./permissions.ts";

/** Items of one rule. */
const maximumItems = 4_096;
/** In a path these could mean something else than themselves to who enforces it. */
const ambiguous = /[*,\0]/;

/**
 * The claimed set as a value of our own, with all denials of `holder`.
 * Unlike `childPermissions` it takes a set, as another thread has computed it, and judges it alone.
 * @throws {NotCapable} Where it is malformed, not in its one spelling, or holds anything that `holder` does not.
 */
export function claimedPermissions(holder: PermissionSet, claimed: unknown): PermissionSet {
  const rules = permissionNames.map((name): [PermissionName, PermissionRule] => {
    const rule = memberOf(claimed, name);
    const own = holder[name];
    const granted = itemsOf(memberOf(rule, "granted"));
    const denied = itemsOf(memberOf(rule, "denied"));
    if (granted !== "all") {
      // What the holder has under the same text means the same.
      for (const item of granted) if (!own.granted.includes(item)) checkSpelling(name, item);
    }
    return [name, { granted, denied: union(own.denied, denied) }];
  });
  const set = Object.fromEntries(rules) as PermissionSet;
  if (!isNoWider(set, holder)) throw escalation();
  return set;
}

function checkSpelling(name: PermissionName, item: string): void {
  const isPath = name === "read" || name === "write" || name === "ffi";
  if (isPath && ambiguous.test(item)) throw escalation();
  let parsed: string | undefined;
  try {
    parsed = parseItem(name, item);
  } catch (error) {
    throw escalation(error);
  }
  if (parsed !== item) throw escalation();
}

function itemsOf(value: unknown): "all" | readonly string[] {
  if (value === "all") return value;
  if (!Array.isArray(value) || value.length > maximumItems) throw escalation();
  const items: readonly unknown[] = [...value];
  return items.map((item) => {
    if (typeof item !== "string") throw escalation();
    return item;
  });
}

function union(
  one: PermissionRule["denied"],
  other: PermissionRule["denied"],
): PermissionRule["denied"] {
  if (one === "all" || other === "all") return "all";
  return [...new Set([...one, ...other])];
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) throw escalation();
  return Reflect.get(value, name);
}

function escalation(cause?: unknown): NotCapable {
  return new NotCapable("Can't escalate parent thread permissions", { cause });
}
