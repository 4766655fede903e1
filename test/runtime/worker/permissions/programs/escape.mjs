/**
 * Starts a worker of ours with the permissions of a scenario, lets it try to get out, and prints what came of it.
 * Runs under any Node: `SPECTRA_SECRET=secret node escape.mjs <dist> <scenario>`.
 *
 * @module
 */

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [dist, name] = process.argv.slice(2);
const { Worker } = await import(pathToFileURL(join(dist, "runtime/worker/web/worker.js")).href);
const { enforcement } = await import(
  pathToFileURL(join(dist, "runtime/worker/permissions/enforcement.js")).href
);
const { allPermissions, childPermissions } = await import(
  pathToFileURL(join(dist, "machines/permissions.js")).href
);

const base = mkdtempSync(join(tmpdir(), "spectra-escape-"));
const within = (...parts) => join(base, ...parts);
for (const folder of ["granted", "grantedx", "writable", "cwd", "bin", "evil"])
  mkdirSync(within(folder));
for (const file of ["secret.txt", "granted/file", "grantedx/file", "cwd/file.txt"]) {
  writeFileSync(within(file), "secret");
}
writeFileSync(within("module.mjs"), "export const secret = 1;");
writeFileSync(within("module.cjs"), "exports.secret = 1;");
writeFileSync(within("secret.json"), "{}");
writeFileSync(within("secret.db"), "");
symlinkSync(within("secret.txt"), within("granted", "link"));
symlinkSync("/bin/echo", within("bin", "tool"));
symlinkSync("/bin/echo", within("evil", "link"));
for (const path of [within("evil", "tool"), within("writable", "tool")]) {
  writeFileSync(path, "#!/bin/sh\necho evil\n");
  chmodSync(path, 0o755);
}
const descriptor = openSync(within("secret.txt"));
process.chdir(within("cwd"));

const web = createServer((_, response) => response.end("ok"));
web.on("upgrade", (_, socket) => socket.destroy());
await new Promise((resolve) => web.listen(0, "127.0.0.1", resolve));
const unix = createTcpServer((socket) => socket.destroy());
await new Promise((resolve) => unix.listen(within("socket"), resolve));
const { port } = web.address();
const before = listing();

/** Attempts that do no harm where they succeed. */
const harmless = {
  read: "file dots sibling bytes url promise stream copy link symlink listing stat watch cwd cwdFile cwdRelative environ import require json nestedWorker wasi",
  write: "file append folder temporary moveOut copyOut chmod",
  net: "connect socket unix listen http fetch udp udpBind lookup",
  env: "get has descriptor keys deno set report",
  sys: "hostname release cpus memory user uid import report",
  run: "spawnSync spawn exec kill flags",
  ffi: "dlopen require",
};

const printenv = ["/usr/bin/printenv", "/bin/printenv"].find(existsSync);

const scenarios = {
  // Where nothing is forbidden they must succeed, or their refusal elsewhere would prove nothing.
  control: {
    permissions: "inherit",
    names: Object.entries(harmless).flatMap(([group, all]) =>
      all.split(" ").map((how) => `${group}.${how}`),
    ),
  },
  none: {
    permissions: "none",
    names: ["read", "write", "net", "env", "sys", "run", "ffi", "around"],
  },
  lists: {
    permissions: {
      read: [within("granted"), within("writable")],
      write: [within("writable")],
      net: ["granted.test"],
      env: ["OTHER"],
      sys: ["osUptime"],
    },
    names: ["read", "write", "net", "env", "sys", "run", "ffi", "around", "known"],
  },
  denials: {
    permissions: { read: true, env: true },
    parent: {
      ...allPermissions,
      read: { granted: "all", denied: [within("secret.txt"), "/proc"] },
      env: { granted: "all", denied: ["SPECTRA_SECRET"] },
    },
    names: ["denied", "env"],
  },
  programs: {
    permissions: {
      run: [within("bin", "tool"), printenv, within("writable", "tool")],
      write: [within("writable")],
      sys: ["osUptime"],
      env: ["OTHER", "LD_*", "NODE_*", "BASH_ENV"],
    },
    names: ["broker", "read", "write", "net", "env", "sys", "run", "ffi", "around"],
  },
  proc: { permissions: { read: true }, names: ["env", "around"] },
};

const { permissions, names, parent = allPermissions } = scenarios[name];
const set = childPermissions(parent, permissions);
const root = new URL("./attempts.mjs", import.meta.url);
const worker = new Worker(root, {
  type: "module",
  deno: { permissions },
  spectra: { env: process.env, parentPermissions: parent },
});
const results = await new Promise((resolve, reject) => {
  const told = [];
  worker.onmessage = ({ data }) => (data === "done" ? resolve(told) : told.push(data));
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(`${event.message}; before: ${JSON.stringify(told.at(-1))}`));
  };
  worker.postMessage({
    names,
    target: {
      port,
      descriptor,
      folder: base,
      evil: within("evil"),
      tool: within("bin", "tool"),
      secret: within("secret.txt"),
      granted: within("granted"),
      sibling: within("grantedx", "file"),
      link: within("granted", "link"),
      writable: within("writable"),
      cwdFile: within("cwd", "file.txt"),
      database: within("secret.db"),
      json: within("secret.json"),
      module: pathToFileURL(within("module.mjs")).href,
      socket: within("socket"),
      addon: createRequire(join(dist, "x.js")).resolve("@libsql/linux-x64-gnu"),
    },
  });
});
worker.terminate();
await worker.exited;
const added = listing().filter((path) => !before.includes(path));
const missing = before.filter((path) => !listing().includes(path));
web.close();
web.closeAllConnections();
unix.close();
process.chdir("/");
rmSync(base, { recursive: true });
const levels = enforcement("thread", process.versions.node, set);
console.log(JSON.stringify({ levels, results, added, missing }));

/** What is in the folder, outside of what may be written. */
function listing() {
  return readdirSync(base, { recursive: true })
    .map(String)
    .filter((path) => !path.startsWith("writable"))
    .sort();
}
