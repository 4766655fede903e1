/**
 * How strongly each permission holds; the two tables of `docs/permissions.md` are these answers.
 * Where the test fails, the difference is the table to write.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { agentDefinitions } from "../../../../actors/agents/registry.ts";
import {
  allPermissions,
  childPermissions,
  type PermissionName,
  type PermissionSet,
  permissionNames,
} from "../../../../machines/permissions.ts";
import { permissionsOf } from "../../../../runtime/worker/permissions/agent-permissions.ts";
import { enforcement } from "../../../../runtime/worker/permissions/enforcement.ts";
import type { Isolation } from "../../../../runtime/worker/web/carrier.ts";

const docs = readFileSync(new URL("../../../../docs/permissions.md", import.meta.url), "utf8");
const versions = ["20.19.0", "22.23.0", "24.21.0", "26.10.0"] as const;
const host = { dataDir: "/data", embeddedDatabase: true, redisUrl: "redis://127.0.0.1:6379" };
const database = {
  type: "socket",
  socketDir: "/data/socket",
  port: 5432,
  user: "spectra",
  password: "x",
  database: "spectra",
} as const;

const setOf = (option: object): PermissionSet => childPermissions(allPermissions, option);

/** Rows that are equal on neighbouring versions share a column in the docs. */
function row(label: string, of: (version: string) => string): string {
  const [node20, node22, node24, node26] = versions.map(of);
  expect([node22, node24]).toEqual([node20, node20]);
  return `| ${label} | ${node20} | ${node26} |`;
}

test.each(["thread", "process"] as const)("by permission: %s", (isolation: Isolation) => {
  const cases: readonly [string, PermissionName, object][] = [
    ["`read`, `write`", "read", { read: ["/x"], write: ["/x"] }],
    ["`net`: none", "net", {}],
    ["`net`: a list", "net", { net: ["a.test"] }],
    ["`env`", "env", { env: ["A"] }],
    ["`env`, where `/proc` may be read", "env", { read: true }],
    ["`sys`", "sys", { sys: ["cpus"] }],
    ["`run`: none", "run", {}],
    ["`run`: a list", "run", { run: ["/bin/x"] }],
    ["`ffi`: none", "ffi", {}],
    ["`import`", "import", {}],
  ];
  const lines = cases.map(([label, name, option]) =>
    row(label, (version) => enforcement(isolation, version, setOf(option))[name]),
  );
  expect(docs).toContain(lines.join("\n"));
});

test("a list of programs leaves the rest as it is; all programs, and native code, do not", () => {
  for (const version of versions) {
    const without = enforcement("thread", version, setOf({ read: ["/x"] }));
    const listed = enforcement("thread", version, setOf({ read: ["/x"], run: ["/bin/x"] }));
    expect(listed).toEqual({ ...without, run: "brokered" });
    for (const option of [{ run: true }, { ffi: true }, { write: true }, { write: ["/proc/1"] }]) {
      const levels = enforcement("thread", version, setOf(option));
      expect(new Set(Object.values(levels))).toEqual(new Set(["soft"]));
    }
  }
});

test("in Deno's own processes all of it is hard, lists included", () => {
  const some = setOf({ net: ["a.test"], read: ["/x"] });
  expect(new Set(Object.values(enforcement("deno", "20.19.0", some)))).toEqual(new Set(["hard"]));
});

test("by agent", () => {
  const lines = agentDefinitions.map((card) => {
    const moduleUrl = new URL("../../../../dist/x.js", import.meta.url).href;
    const set = permissionsOf(card, { host, database, moduleUrl });
    return row(card.name, (version) => summaryOf(enforcement("thread", version, set)));
  });
  expect(docs).toContain(lines.join("\n"));
});

/** What is not hard. */
function summaryOf(levels: ReturnType<typeof enforcement>): string {
  const groups = (["brokered", "soft", "none"] as const).flatMap((level) => {
    const names = permissionNames.filter((name) => levels[name] === level);
    if (names.length === permissionNames.length) return [`all ${level}`];
    return names.length === 0 ? [] : [`${names.map((name) => `\`${name}\``).join(", ")} ${level}`];
  });
  return groups.length === 0 ? "all hard" : groups.join("; ");
}
