/**
 * Adds to package-lock.json the packages of other platforms that the registry in use does not carry.
 * Without them `npm ci` refuses the file. Run it after `npm install` of a package with native parts.
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";

const systems = ["android", "darwin", "linux", "win32", "freebsd", "openharmony"];
const processors = ["arm64", "x64", "arm", "ppc64", "riscv64", "s390x", "ia32"];
const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(file, "utf8"));
const { packages } = lock;

let added = 0;
for (const [path, { optionalDependencies = {}, dev }] of Object.entries(packages)) {
  for (const [name, range] of Object.entries(optionalDependencies)) {
    if (isResolved(path, name)) continue;
    packages[`node_modules/${name}`] = entryOf(name, range, dev);
    added += 1;
  }
}
lock.packages = Object.fromEntries(
  Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, "en")),
);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} packages added`);

/** As Node resolves: from the folder of the dependent upwards. */
function isResolved(path, name) {
  const bases = [""];
  const parts = path.split("/node_modules/");
  for (let depth = 1; depth <= parts.length; depth++) {
    if (path !== "") bases.push(`${parts.slice(0, depth).join("/node_modules/")}/`);
  }
  return bases.some((base) => packages[`${base}node_modules/${name}`] !== undefined);
}

function entryOf(name, range, dev) {
  const words = (name.split("/").at(-1) ?? "").split("-");
  const os = systems.find((system) => words.includes(system));
  const cpu = processors.find((processor) => words.includes(processor));
  if (os === undefined || cpu === undefined) {
    throw new Error(`Cannot complete the lock file: the platform of "${name}" is not in its name`);
  }
  const libc = words.includes("musl") ? "musl" : words.includes("gnu") ? "glibc" : undefined;
  return {
    version: range.replace(/^[\^~=v]*/, ""),
    cpu: [cpu],
    ...(dev ? { dev } : {}),
    ...(libc === undefined ? {} : { libc: [libc] }),
    optional: true,
    os: [os],
  };
}
