/**
 * Permission sets: Deno's texts, and that a child never gets more than its parent.
 *
 * @module
 */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { absolutePath, covers, parseItem } from "../../machines/permission-item.ts";
import {
  allPermissions,
  childPermissions,
  isNoWider,
  NotCapable,
  noPermissions,
  type PermissionName,
  type PermissionRule,
  type PermissionSet,
  permissionNames,
  permits,
  queryPermission,
  requirePermission,
  revoke,
} from "../../machines/permissions.ts";

/** Few and related, so that grants, denials and wishes really meet. */
const items: Readonly<Record<PermissionName, readonly string[]>> = {
  read: ["/", "/a", "/a/b", "/a/b/c", "/ab", "/c"],
  write: ["/", "/a", "/a/b", "/ab"],
  net: [
    "x",
    "x:80",
    "x:443",
    "*.x",
    "a.x",
    "a.x:80",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3",
    "10.1.2.3:80",
    "[::1]",
    "[::1]:80",
    "unix:/s",
  ],
  env: ["A", "AB", "A*", "*", "B", "DENO_DIR", "DENO_*"],
  sys: ["hostname", "cpus", "uid"],
  run: ["/bin/ls", "/bin/cat", "git"],
  ffi: ["/lib", "/lib/a.so", "/opt"],
  import: ["x", "x:80", "a.x", "*.x"],
};

const listOf = (name: PermissionName) => fc.subarray([...items[name]]);

function setsFrom<T>(of: (name: PermissionName) => fc.Arbitrary<T>) {
  return fc.record(
    Object.fromEntries(permissionNames.map((name) => [name, of(name)])) as Record<
      PermissionName,
      fc.Arbitrary<T>
    >,
  );
}

const someSet: fc.Arbitrary<PermissionSet> = setsFrom<PermissionRule>((name) =>
  fc.record({
    granted: fc.oneof(fc.constant("all" as const), listOf(name)),
    denied: fc.oneof(
      { weight: 1, arbitrary: fc.constant("all" as const) },
      { weight: 8, arbitrary: listOf(name) },
    ),
  }),
);

const someOption = fc.oneof(
  fc.constantFrom(undefined, null, "inherit", "none"),
  fc.record(
    Object.fromEntries(
      permissionNames.map((name) => [
        name,
        fc.oneof(fc.boolean(), fc.constant("inherit"), listOf(name)),
      ]),
    ),
    { requiredKeys: [] },
  ),
  // One name only: most wishes for all eight at once are refused.
  fc
    .constantFrom(...permissionNames)
    .chain((name) => fc.record({ [name]: fc.oneof(fc.constant(true), listOf(name)) })),
);

function attempt(parent: PermissionSet, option: unknown): PermissionSet | undefined {
  try {
    return childPermissions(parent, option);
  } catch (error) {
    expect(error).toBeInstanceOf(NotCapable);
    return undefined;
  }
}

describe("a child's permissions", () => {
  test("are never wider than the parent's, over 10,000 cases", () => {
    let given = 0;
    fc.assert(
      fc.property(someSet, someOption, (parent, option) => {
        const child = attempt(parent, option);
        if (child === undefined) return;
        given += 1;
        expect(isNoWider(child, parent)).toBe(true);
        // The same said by use: whatever the child may do, the parent may.
        for (const name of permissionNames) {
          for (const item of items[name]) {
            if (permits(child, name, item)) expect(permits(parent, name, item)).toBe(true);
          }
          if (permits(child, name)) expect(permits(parent, name)).toBe(true);
        }
      }),
      { numRuns: 10_000 },
    );
    expect(given).toBeGreaterThan(2_000);
  });

  test("hold every denial of the parent, over 10,000 cases", () => {
    fc.assert(
      fc.property(someSet, someOption, (parent, option) => {
        const child = attempt(parent, option);
        if (child === undefined) return;
        for (const name of permissionNames) expect(child[name].denied).toEqual(parent[name].denied);
      }),
      { numRuns: 10_000 },
    );
  });

  test("narrow down over three generations", () => {
    fc.assert(
      fc.property(someSet, someOption, someOption, (first, one, two) => {
        const second = attempt(first, one);
        const third = second === undefined ? undefined : attempt(second, two);
        if (third !== undefined) expect(isNoWider(third, first)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  test("are the parent's own without an option, a copy with inherit", () => {
    const parent = childPermissions(allPermissions, { env: ["A"] });
    expect(childPermissions(parent, undefined)).toBe(parent);
    expect(childPermissions(parent, null)).toBe(parent);
    const copy = childPermissions(parent, "inherit");
    expect(copy).toEqual(parent);
    expect(copy).not.toBe(parent);
    expect(copy.env).not.toBe(parent.env);
  });

  test.each(["none", {}, [], { bogus: true }, { env: false, read: null, net: [] }])(
    "are nothing for %j",
    (option) => {
      expect(childPermissions(allPermissions, option)).toEqual(noPermissions);
    },
  );

  test("take only what is named", () => {
    const child = childPermissions(allPermissions, { read: ["/a"], env: "inherit" });
    expect(child).toEqual({
      ...noPermissions,
      read: { granted: ["/a"], denied: [] },
      env: { granted: "all", denied: [] },
    });
  });

  test("take URLs where Deno does", () => {
    const { read } = childPermissions(allPermissions, { read: [new URL("file:///a%20b/../c")] });
    expect(read.granted).toEqual(["/c"]);
    expect(() => childPermissions(allPermissions, { read: [new URL("http://x/")] })).toThrow(
      new TypeError("Must be a file URL"),
    );
  });

  test("drop programs that cannot be found", () => {
    const resolveProgram = (name: string) => (name === "ls" ? "/bin/ls" : undefined);
    const { run } = childPermissions(
      allPermissions,
      { run: ["ls", "nowhere", "", "./x"] },
      { resolveProgram, cwd: "/w" },
    );
    expect(run.granted).toEqual(["/bin/ls", "/w/x"]);
  });
});

const parent: PermissionSet = {
  ...noPermissions,
  read: { granted: "all", denied: ["/etc/secret"] },
  write: { granted: ["/tmp"], denied: [] },
  env: { granted: "all", denied: ["DENIED"] },
  net: { granted: ["x:80", "y"], denied: [] },
  sys: { granted: "all", denied: [] },
};

/** What Deno 2.9.6 said for the same parent. */
describe("escalation", () => {
  test.each([
    { run: true },
    { env: ["DENIED"] },
    { env: ["DENIED*"] },
    { read: ["/etc/secret"] },
    { read: ["/etc/secret/deeper"] },
    { read: ["/etc"] },
    { write: ["/tmp/../etc"] },
    { write: ["/tmpx"] },
    { write: true },
    { net: ["x"] },
    { net: ["x:81"] },
    { net: true },
    { ffi: ["/lib"] },
    { import: ["x"] },
  ])("is refused: %j", (option) => {
    const error = (() => {
      try {
        return childPermissions(parent, option);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(NotCapable);
    expect(error).toMatchObject({
      name: "NotCapable",
      message: "Can't escalate parent thread permissions",
    });
  });

  test.each([
    { read: true },
    { read: ["/etcx"] },
    { env: true },
    { env: ["D*"] },
    { net: ["x:80", "y:9"] },
    { write: ["/tmp/a"] },
    { run: false },
  ])("is not what this asks: %j", (option) => {
    expect(isNoWider(childPermissions(parent, option), parent)).toBe(true);
  });
});

describe("a malformed option", () => {
  test.each<[unknown, Error]>([
    ["foo", new TypeError('invalid value: string "foo", expected "inherit" or "none" or object')],
    [5, new TypeError('invalid type: integer `5`, expected "inherit" or "none" or object')],
    [true, new TypeError('invalid type: boolean `true`, expected "inherit" or "none" or object')],
    [
      { env: "foo" },
      new TypeError(
        '(deno.permissions.env) invalid value: string "foo", expected "inherit" or boolean or string[]',
      ),
    ],
    [
      { env: 1.5 },
      new TypeError(
        '(deno.permissions.env) invalid type: floating point `1.5`, expected "inherit" or boolean or string[]',
      ),
    ],
    [
      { env: {} },
      new TypeError(
        '(deno.permissions.env) invalid type: map, expected "inherit" or boolean or string[]',
      ),
    ],
    [
      { env: [5] },
      new TypeError("(deno.permissions.env) invalid type: integer `5`, expected a string"),
    ],
    [{ env: [""] }, new Error("Empty env not allowed")],
    [{ read: [""] }, new Error("Empty path is not allowed")],
    [
      { net: ["http://x"] },
      new URIError("invalid value 'http://x': URLs are not supported, only domains and IPs"),
    ],
    [{ net: ["x:99999"] }, new URIError("invalid port in 'x:99999': '99999'")],
    [{ net: ["x:"] }, new URIError("invalid empty port in 'x:'")],
    [{ net: ["::1"] }, new URIError("invalid empty host: ''")],
    [{ net: ["x/y"] }, new URIError("invalid host 'x/y': invalid char found in FQDN")],
    [{ sys: ["bogus"] }, new TypeError('unknown system info kind "bogus"')],
  ])("%j is told as Deno tells it", (option, expected) => {
    const thrown = (() => {
      try {
        return childPermissions(allPermissions, option);
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toEqual(expected);
    expect((thrown as Error).constructor).toBe(expected.constructor);
  });
});

describe("a query", () => {
  test.each<[PermissionName, string | undefined, string]>([
    ["net", "x", "prompt"],
    ["net", "x:80", "granted"],
    ["net", "y:9", "granted"],
    ["net", "Y", "granted"],
    ["net", undefined, "prompt"],
    ["env", "DENIED", "denied"],
    ["env", undefined, "granted"],
    ["read", "/etc", "granted"],
    ["read", "/etc/secret/a", "denied"],
    ["read", "/etc/secret/..", "granted"],
    ["write", "/tmp/../etc", "prompt"],
    ["write", "/tmp", "granted"],
    ["run", "ls", "prompt"],
  ])("of %s %s is %s", (name, item, state) => {
    expect(queryPermission(parent, name, item).state).toBe(state);
  });

  test("tells that a part is denied", () => {
    expect(queryPermission(parent, "read", "/etc")).toEqual({ state: "granted", partial: true });
    expect(queryPermission(parent, "read", "/home")).toEqual({ state: "granted", partial: false });
  });

  test("what is not granted throws Deno's text", () => {
    expect(() => requirePermission(parent, "env", "DENIED")).toThrow(
      'Requires env access to "DENIED", run again with the --allow-env flag',
    );
    expect(() => requirePermission(parent, "ffi")).toThrow(
      "Requires ffi access, run again with the --allow-ffi flag",
    );
  });
});

describe("revoking", () => {
  test("a whole permission leaves nothing granted", () => {
    expect(permits(revoke(parent, "read"), "read", "/a")).toBe(false);
  });

  test("never widens, and takes what it names", () => {
    fc.assert(
      fc.property(someSet, fc.constantFrom(...permissionNames), fc.nat(20), (set, name, index) => {
        const list = items[name];
        const item = list[index % list.length];
        if (item === undefined) return;
        const less = revoke(set, name, item);
        expect(isNoWider(less, set)).toBe(true);
        expect(permits(less, name, item)).toBe(false);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("an item", () => {
  test("of a path covers its subtree and no sibling", () => {
    expect(covers("read", "/a", "/a/b")).toBe(true);
    expect(covers("read", "/a", "/ab")).toBe(false);
    expect(covers("read", "/", "/ab")).toBe(true);
  });

  test.each([
    ["/a/../../b", "/b"],
    ["a//./b/", "/w/a/b"],
    ["../x", "/x"],
    ["C:\\a\\..\\b", "C:/b"],
  ])("path %s is %s", (path, expected) => {
    expect(absolutePath(path, "/w")).toBe(expected);
  });

  test.each([
    ["*.x.com", "x.com", true],
    ["*.x.com", "a.b.x.com:1", true],
    ["*.x.com", "ax.com", false],
    ["10.0.0.0/8", "10.9.9.9:1", true],
    ["10.0.0.0/8", "11.0.0.1", false],
    ["10.1.2.3", "10.0.0.0/8", false],
    ["[::1]", "[::1]:80", true],
    ["[::1]:80", "[::1]", false],
    ["unix:/a", "unix:/a", true],
    ["unix:/a", "unix:/a/b", false],
    ["x.com.", "x.com", true],
  ])("host %s over %s: %s", (grant, item, expected) => {
    expect(covers("net", String(parseItem("net", grant)), String(parseItem("net", item)))).toBe(
      expected,
    );
  });
});
