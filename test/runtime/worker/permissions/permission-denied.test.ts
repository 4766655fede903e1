/**
 * What users are told of a denied permission, from each of the errors that tell one.
 *
 * @module
 */

import { describe, expect, test } from "vitest";
import { AgentError, toErrorRecord } from "../../../../machines/error-code.ts";
import { NotCapable, requires } from "../../../../machines/permissions.ts";
import { permissionDenied } from "../../../../runtime/worker/permissions/permission-denied.ts";

const call = { agent: "READER", action: "read" };
const failed = (fields: object): Error =>
  Object.assign(new Error("Access to this API has been restricted"), fields);
const code = "ERR_ACCESS_DENIED";

describe("a denied permission", () => {
  test.each<[string, unknown, string]>([
    [
      "read",
      failed({ code, permission: "FileSystemRead", resource: "/a b" }),
      'may not read "/a b"',
    ],
    [
      "write",
      failed({ code, permission: "FileSystemWrite", resource: "/x" }),
      'may not write "/x"',
    ],
    ["run", failed({ code, permission: "ChildProcess", resource: "ls" }), 'may not run "ls"'],
    ["run", failed({ code, permission: "ChildProcess", resource: "" }), "may not run anything"],
    ["net", failed({ code, syscall: "connect", address: "::1", port: 5 }), 'may not reach "::1:5"'],
    ["net", failed({ code, syscall: "connect", address: "/s" }), 'may not reach "unix:/s"'],
    ["ffi", failed({ code: "ERR_DLOPEN_DISABLED" }), "may not load anything"],
    ["net", requires("net", "a.test:80"), 'may not reach "a.test:80"'],
    ["env", requires("env", "HOME"), 'may not see the variable "HOME"'],
    ["sys", requires("sys", "cpus"), 'may not ask the system for "cpus"'],
  ])("names %s, the resource and what to add", (permission, error, text) => {
    const denied = permissionDenied(call, error);
    expect(denied?.code).toBe("PERMISSION_DENIED");
    expect(denied?.retryable).toBe(false);
    expect(denied?.message).toContain(`Cannot finish READER.read: READER ${text}`);
    expect(denied?.message).toContain(`permissions: { ${permission}: `);
    expect(toErrorRecord(denied).cause?.message).toBe((error as Error).message);
  });

  test("is found behind another error", () => {
    const error = new TypeError("fetch failed", { cause: requires("net", "a.test:80") });
    expect(permissionDenied(call, error)?.message).toContain("a.test:80");
  });

  test.each([
    [new AgentError("ARCHIVE_UNREADABLE", "Cannot read", { cause: requires("read", "/x") })],
    [Object.assign(new Error("no such file"), { code: "ENOENT" })],
    [new NotCapable("Can't escalate parent thread permissions")],
    ["text"],
    [undefined],
  ])("is nothing else: %s", (error) => {
    expect(permissionDenied(call, error)).toBeUndefined();
  });
});
