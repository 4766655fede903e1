/**
 * What each isolation tier costs on this machine: start, round trip, throughput, memory.
 *
 *     npm run build && node test/bench/isolation.mjs
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { cpus } from "node:os";

const dist = new URL("../../dist/", import.meta.url);
const load = (path) => import(new URL(path, dist).href);
const { openThread } = await load("runtime/worker/web/thread-carrier.js");
const { openProcess } = await load("runtime/worker/web/carriers/process-carrier.js");
const { openDeno } = await load("runtime/worker/web/carriers/deno-carrier.js");
const { allPermissions } = await load("machines/permissions.js");

const starts = 7;
const roundTrips = 500;
const burst = 20_000;
const code = "onmessage = (event) => postMessage(event.data); postMessage(0);";
const url = `data:text/javascript,${encodeURIComponent(code)}`;
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
const mebibytes = (bytes) => Math.round(bytes / 1_048_576);

/** Proportional share of a process's memory; Linux tells it. */
function memoryOf(pid) {
  try {
    const kibibytes = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
    return mebibytes(Number(kibibytes) * 1_024);
  } catch {
    return undefined;
  }
}

async function measure(name, open) {
  const seen = { startMs: [], roundTripUs: [], messagesPerSecond: [], memoryMb: [] };
  for (let round = 0; round < starts; round += 1) {
    let onMessage = () => undefined;
    const next = () => new Promise((resolve) => (onMessage = resolve));
    const before = memoryOf(process.pid);
    const openedAt = performance.now();
    const carrier = open(
      { url, name: "bench", permissions: allPermissions, env: {} },
      { message: () => onMessage(), messageerror() {}, fault: console.error, exit() {} },
    );
    await next();
    seen.startMs.push(performance.now() - openedAt);
    const memory = memoryOf(name === "thread" ? process.pid : carrier.id);
    seen.memoryMb.push(name === "thread" ? memory - before : memory);
    for (let trip = 0; trip < roundTrips; trip += 1) {
      const postedAt = performance.now();
      const answer = next();
      carrier.post(trip, []);
      await answer;
      seen.roundTripUs.push((performance.now() - postedAt) * 1_000);
    }
    let answered = 0;
    const all = new Promise((resolve) => {
      onMessage = () => {
        answered += 1;
        if (answered === burst) resolve();
      };
    });
    const burstAt = performance.now();
    for (let message = 0; message < burst; message += 1) carrier.post(message, []);
    await all;
    seen.messagesPerSecond.push((burst / (performance.now() - burstAt)) * 1_000);
    await carrier.terminate();
  }
  const figures = Object.entries(seen).map(([figure, list]) => [figure, Math.round(median(list))]);
  return { tier: name, ...Object.fromEntries(figures) };
}

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}; medians`);
const rows = [];
for (const [name, open] of Object.entries({
  thread: openThread,
  process: openProcess,
  deno: openDeno,
})) {
  rows.push(await measure(name, open));
}
console.table(rows);
