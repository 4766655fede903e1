/**
 * A restricted worker that holds the very port to its nursery forges requests for more than it has,
 * and whoever comes of them tries for a secret. Prints one outcome per attempt, under any Node.
 *
 *     node nested-escape.mjs /path/to/dist
 *
 * @module
 */

import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [dist, isolation] = process.argv.slice(2);
const distUrl = pathToFileURL(join(dist, "/")).href;
const { Worker } = await import(`${distUrl}runtime/worker/web/worker.js`);

const base = realpathSync(mkdtempSync(join(tmpdir(), "spectra-nested-")));
const within = (...parts) => join(base, ...parts);
mkdirSync(within("granted"));
mkdirSync(within("cwd"));
writeFileSync(within("secret.txt"), "secret");
writeFileSync(within("secret.mjs"), "export default 'secret';");
writeFileSync(within("secret.json"), '"secret"');
writeFileSync(within("granted", "free.txt"), "free");
writeFileSync(
  within("granted", "imports.mjs"),
  'import secret from "../secret.mjs"; postMessage(["read", secret]);',
);
writeFileSync(
  within("granted", "imports.mts"),
  'import secret from "../secret.mjs"; postMessage(["read", secret as string]);',
);
writeFileSync(
  within("granted", "links.mjs"),
  'import secret from "./link.mjs"; postMessage(["read", secret]);',
);
symlinkSync(within("secret.mjs"), within("granted", "link.mjs"));
process.chdir(within("cwd"));

/** What a nested worker tries: each alone must fail. */
const thief = `
  const { readFileSync } = await import("node:fs");
  const { Worker: Plain } = await import("node:worker_threads");
  const tried = [];
  for (const take of [
    () => readFileSync(${JSON.stringify(within("secret.txt"))}, "utf8"),
    () => { new Plain("0", { eval: true, execArgv: [] }); return "started a thread"; },
    () => process.env.SECRET ?? "",
  ]) {
    try { const got = take(); if (got !== "") tried.push(got); } catch (error) { void error; }
  }
  postMessage(["read", ...tried]);`;

/** Runs in the restricted worker: it knows our code, and uses it against us. */
const maker = `
  import { MessageChannel } from "node:worker_threads";
  import { currentRealm } from "${distUrl}runtime/worker/web/realm.js";
  import { meterBytes } from "${distUrl}runtime/worker/web/meter.js";
  const { nursery, permissions } = currentRealm();
  const own = permissions.current;
  const everything = { granted: "all", denied: [] };
  const all = Object.fromEntries(Object.keys(own).map((name) => [name, everything]));
  const thief = "data:text/javascript," + encodeURIComponent(${JSON.stringify(thief)});
  const reading = (...granted) => ({ ...own, read: { granted, denied: [] } });
  const root = (name) => ${JSON.stringify(pathToFileURL(within("/")).href)} + name;
  const attempts = {
    honest: {},
    everything: { permissions: all },
    nothingAtAll: { permissions: undefined },
    readAll: { permissions: { ...own, read: everything } },
    writeAll: { permissions: { ...own, write: everything } },
    runAll: { permissions: { ...own, run: everything } },
    ffiAll: { permissions: { ...own, ffi: everything } },
    netAll: { permissions: { ...own, net: everything } },
    dots: { permissions: reading(${JSON.stringify(within("granted", "..", "secret.txt"))}, ${JSON.stringify(`${within("granted")}/../secret.txt`)}) },
    comma: { permissions: reading(${JSON.stringify(`${within("granted")}/x,${base}`)}) },
    wildcard: { permissions: reading(${JSON.stringify(`${within("granted")}/*`)}) },
    proxy: { permissions: { ...own, read: { granted: { length: 1, 0: "/" , includes: 1 }, denied: [] } } },
    shared: { permissions: all, shared: true },
    nodeOptions: { env: { NODE_OPTIONS: "--allow-worker --allow-fs-read=*" }, permissions: { ...own } },
    environment: { env: { SECRET: "secret" } },
    execArgv: { execArgv: [] },
    rootOutside: { root: root("secret.mjs"), url: root("granted/free.txt") },
    rootImports: { root: root("granted/imports.mjs"), permissions: { ...own, read: { granted: [], denied: [] } } },
    rootImportsTypeScript: { root: root("granted/imports.mts") },
    rootLink: { root: root("granted/link.mjs") },
    rootImportsLink: { root: root("granted/links.mjs"), permissions: { ...own, read: { granted: [], denied: [] } } },
    rootText: { root: "data:text/javascript," + encodeURIComponent('import s from "' + root("secret.mjs") + '"; postMessage(["read", s])') },
    badMeter: { meter: new SharedArrayBuffer(8) },
    badUrl: { url: "nowhere" },
  };
  const attempt = (wish) => new Promise((resolve) => {
    const control = new MessageChannel();
    const frames = new MessageChannel();
    control.port1.on("message", (frame) => {
      if (frame.type === "ended") {
        resolve(["ended", frame.fault?.error.code ?? frame.fault?.message ?? ""]);
        control.port1.close(); frames.port1.close();
      }
    });
    frames.port1.on("message", (frame) => {
      if (frame.type === "message") { resolve(frame.data); control.port1.close(); frames.port1.close(); }
      if (frame.type === "fault") { resolve(["failed", frame.fault.message]); }
      if (frame.type === "narrowed") { /* of no interest */ }
    });
    // A forged frame in the place of the real one.
    frames.port1.postMessage({ type: "load", root: thief, location: "data:,", name: "", permissions: all, shared: false });
    nursery.postMessage({ type: "spawn", control: control.port2, frames: frames.port2, meter: new SharedArrayBuffer(meterBytes),
      url: thief, root: thief, name: "thief", permissions: own, shared: false, env: {}, prints: false, ...wish },
      [control.port2, frames.port2]);
  });
  nursery.postMessage("nonsense");
  nursery.postMessage(null);
  nursery.postMessage({ type: "spawn" });
  // It cannot give itself more under the name of giving up.
  nursery.postMessage({ type: "narrowed", permissions: all });
  const outcomes = {};
  for (const [name, wish] of Object.entries(attempts)) outcomes[name] = await attempt(wish);
  postMessage(outcomes);`;

const worker = new Worker(`data:text/javascript,${encodeURIComponent(maker)}`, {
  type: "module",
  deno: {
    permissions: { read: [within("granted")], write: [within("granted")], env: ["NODE_OPTIONS"] },
  },
  spectra: { isolation, env: {} },
});
const outcomes = await new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(event.message));
  };
});
worker.terminate();
await worker.exited;
process.chdir("/");
rmSync(base, { recursive: true });
console.log(JSON.stringify(outcomes));
