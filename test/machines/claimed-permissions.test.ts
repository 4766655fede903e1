/**
 * A set that somebody claims: all that `childPermissions` gives is granted, nothing beyond the holder's.
 *
 * @module
 */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { claimedPermissions } from "../../machines/claimed-permissions.ts";
import {
  allPermissions,
  childPermissions,
  isNoWider,
  NotCapable,
  noPermissions,
  type PermissionSet,
  permissionNames,
  revoke,
} from "../../machines/permissions.ts";

const items = {
  read: ["/a", "/a/b", "/c", "/"],
  write: ["/a", "/w"],
  net: ["x.org", "x.org:80", "*.x.org", "10.0.0.0/8", "unix:/s", "[::1]:80"],
  env: ["A", "A*", "B"],
  sys: ["hostname", "uid"],
  run: ["/bin/ls", "git"],
  ffi: ["/lib"],
  import: ["x.org:443"],
} as const;

const grant = (name: (typeof permissionNames)[number]) =>
  fc.oneof(fc.boolean(), fc.constant("inherit" as const), fc.subarray([...items[name]]));
const option = fc.record(
  Object.fromEntries(permissionNames.map((name) => [name, grant(name)])) as Record<
    (typeof permissionNames)[number],
    ReturnType<typeof grant>
  >,
);

/** What a worker may come to hold: some children deep, with something given up. */
const held = fc
  .tuple(option, fc.option(fc.constantFrom(...permissionNames)))
  .map(([first, given]): PermissionSet => {
    const set = childPermissions(allPermissions, first);
    return given === null ? set : revoke(set, given, items[given][0]);
  });

test("what a child may get may be claimed, and is what was computed", () => {
  fc.assert(
    fc.property(held, option, (holder, wish) => {
      let child: PermissionSet;
      try {
        child = childPermissions(holder, wish);
      } catch (error) {
        expect(error).toBeInstanceOf(NotCapable);
        return;
      }
      expect(claimedPermissions(holder, structuredClone(child))).toEqual(child);
    }),
    { numRuns: 5_000 },
  );
});

test("whatever is claimed is refused, or no wider than what the holder has", () => {
  fc.assert(
    fc.property(held, held, (holder, claim) => {
      try {
        expect(isNoWider(claimedPermissions(holder, claim), holder)).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(NotCapable);
        expect(isNoWider(claim, holder)).toBe(false);
      }
    }),
    { numRuns: 5_000 },
  );
});

test("denials of the holder hold, also those that the claim leaves out", () => {
  const holder = revoke(allPermissions, "env", "SECRET");
  const { env } = claimedPermissions(holder, allPermissions);
  expect(env).toEqual({ granted: "all", denied: ["SECRET"] });
});

describe("forged", () => {
  const holder = childPermissions(allPermissions, { read: ["/a"], net: ["x.org"] });
  const reading = (...granted: readonly unknown[]) => ({
    ...holder,
    read: { granted, denied: [] },
  });
  test.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["text", "all"],
    ["an empty object", {}],
    ["a rule that is none", { ...holder, read: null }],
    ["what only looks like a list", { ...holder, read: { granted: { length: 1 }, denied: [] } }],
    ["dots", reading("/a/../b")],
    ["a double slash", reading("/a//b")],
    ["a relative path", reading("a")],
    ["a list in an item", reading("/a/x,/b")],
    ["a wildcard", reading("/a/*")],
    ["no text", reading(["/a"])],
    ["an empty item", reading("")],
    ["a host in capitals", { ...holder, net: { granted: ["X.org"], denied: [] } }],
    ["a bad host", { ...holder, net: { granted: ["x.org:99999"], denied: [] } }],
    ["a list too long", reading(...Array.from({ length: 5_000 }, () => "/a"))],
  ])("%s is refused", (_, claim) => {
    expect(() => claimedPermissions(holder, claim)).toThrow(NotCapable);
  });
});

test("nothing may always be claimed", () => {
  fc.assert(
    fc.property(held, (holder) => {
      expect(isNoWider(claimedPermissions(holder, noPermissions), holder)).toBe(true);
    }),
  );
});
