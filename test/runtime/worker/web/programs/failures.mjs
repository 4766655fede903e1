/**
 * Workers fail in every way there is; when the last is gone nothing of them may be left.
 * Prints what there was before and after, by kind.
 *
 *     node --expose-gc failures.mjs /path/to/dist 200
 *
 * @module
 */

import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import * as v8 from "node:v8";
import { MessagePort } from "node:worker_threads";

const [dist, count] = process.argv.slice(2);
const { Worker } = await import(`${pathToFileURL(dist)}/runtime/worker/web/worker.js`);

/** Workers that fail at once, beside each other. */
const lanes = 6;
/** Looks for what is left over until it is gone, or time is up. */
const looks = 300;
const lookMs = 100;

const dataUrl = (code) => `data:text/javascript,${encodeURIComponent(code)}`;
const nested = (code) =>
  `const w = new Worker(${JSON.stringify(dataUrl(code))}, { type: "module" }); w.onmessage = () => {`;

/** `root`: code, or a URL. `ask`: post something first. `end`: who waits in vain is terminated. */
const ways = {
  "throws at boot": { root: dataUrl("throw new Error('boot')") },
  "throws a value that is no error": { root: dataUrl("throw null") },
  "throws on a message": { root: dataUrl("onmessage = () => { throw new Error('x') }"), ask: true },
  "rejects on a message": { root: dataUrl("onmessage = async () => { throw 1 }"), ask: true },
  "exits at boot": { root: dataUrl("process.exit(7)") },
  "exits on a message": { root: dataUrl("onmessage = () => process.exit(7)"), ask: true },
  closes: { root: dataUrl("setInterval(() => 0, 1); close()") },
  "does not parse": { root: dataUrl("this is no module") },
  "is not there": { root: "file:///nowhere/at/all.mjs" },
  "imports what is not there": { root: dataUrl("import 'file:///nowhere/at/all.mjs'") },
  "is terminated while it loads": { root: dataUrl("await new Promise(() => 0)"), end: true },
  "is terminated while it spins": { root: dataUrl("postMessage(0); for (;;);"), end: true },
  "may not load its root": { root: "file:///nowhere.mjs", permissions: "none" },
  "fails with a worker of its own": {
    root: dataUrl(`${nested("postMessage(0)")} throw new Error("with a child") }`),
    permissions: "none",
  },
  "fails for a worker of its own": {
    root: dataUrl(`${nested("postMessage(0); setTimeout(() => { throw 1 })")} }`),
    permissions: "none",
  },
};
/** Slow, so only some of them. */
const outOfMemory = {
  root: dataUrl("const all = []; for (;;) all.push(new Array(100_000).fill(1))"),
  heapLimitMb: 16,
};
const outOfMemoryEach = 40;

let threads = 0;
process.on("worker", (worker) => {
  threads += 1;
  worker.once("exit", () => {
    threads -= 1;
  });
});

const ended = {};

async function fail(name, { root, ask, end, permissions, heapLimitMb }) {
  const worker = new Worker(root, {
    type: "module",
    ...(permissions === undefined ? {} : { deno: { permissions } }),
    ...(heapLimitMb === undefined ? {} : { spectra: { heapLimitMb } }),
  });
  worker.onerror = (event) => event.preventDefault();
  if (ask) worker.postMessage(0);
  if (end) worker.terminate();
  const { terminated, fault, code } = await worker.exited;
  if (!terminated && fault === undefined && code === 0 && name !== "closes") {
    throw new Error(`it did not fail: ${name}`);
  }
  ended[name] = (ended[name] ?? 0) + 1;
}

async function failAll(total) {
  const names = Object.keys(ways);
  let left = total;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      const name = names[left % names.length];
      if (left % outOfMemoryEach === 1) await fail("runs out of memory", outOfMemory);
      else await fail(name, ways[name]);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** By kind; ports only where V8 counts its objects. */
function leftovers() {
  globalThis.gc();
  const ports = v8.queryObjects?.(MessagePort, { format: "count" });
  const resources = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  const listeners = process
    .eventNames()
    .reduce((sum, name) => sum + process.listenerCount(name), 0);
  return { threads, listeners, ...(ports === undefined ? {} : { ports }), ...resources };
}

// What is loaded once, and kept, is there after the first of each way.
await failAll(Object.keys(ways).length);
const isBack = (before, now) => Object.keys(now).every((kind) => now[kind] <= (before[kind] ?? 0));
/** What is left once `done` says so, or nothing changes it. */
async function settled(done) {
  let now = leftovers();
  for (let look = 0; look < looks && !done(now); look += 1) {
    await wait(lookMs);
    now = leftovers();
  }
  return now;
}
// Threads and timers of the first ones are gone too before counting.
const before = await settled((now) => now.threads === 0 && now.Timeout === undefined);
await failAll(Number(count));
const after = await settled((now) => isBack(before, now));
const failed = Object.values(ended).reduce((sum, one) => sum + one, 0);
console.log(JSON.stringify({ failed, ways: Object.keys(ended).length, before, after }));
process.exit(0);
