/**
 * Starts workers and ends them at random moments; this process has to outlive them all.
 *
 *     node ends.mjs /path/to/dist 300
 *
 * @module
 */

import { pathToFileURL } from "node:url";

const [dist, rounds] = process.argv.slice(2);
const { Worker } = await import(`${pathToFileURL(dist)}/runtime/worker/web/worker.js`);

/** Workers that are in the making at once, so that their moments mix. */
const lanes = 4;
/** Long enough to end some after they are loaded. */
const longestLifeMs = 150;

const dataUrl = (code) => `data:text/javascript,${encodeURIComponent(code)}`;

const programs = [
  "",
  "await new Promise(() => {})",
  "for (;;) {}",
  "await 1; for (;;) {}",
  "for (;;) await 1",
  // Interrupted within 20 ms, these end the process on Node 24 and 26.
  ...[3_000, 10_000, 30_000, 60_000, 100_000, 200_000].map(
    (turns) => `for (let i = 0; i < ${turns}; i += 1) await i; postMessage(1)`,
  ),
  "await new Promise((go) => setTimeout(go, 5)); postMessage(1)",
  "await new Promise((go) => setTimeout(go, 5)); throw new Error('late')",
  "throw new Error('at once')",
  "close()",
  "const tell = () => { postMessage(1); setImmediate(tell); }; tell()",
  "for (;;) await import('data:text/javascript,await 1; export default ' + Math.random())",
  "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
]
  .map((code) => `postMessage("begun"); ${code}`)
  .concat(
    // A module without an await that runs after an import's await: V8 ends the process where it is interrupted.
    `import ${JSON.stringify(dataUrl("await 1"))}; postMessage("begun"); for (;;);`,
    `import ${JSON.stringify(dataUrl("for (let i = 0; i < 20_000; i += 1) await i"))}; postMessage("begun")`,
  )
  .map(dataUrl);

let left = Number(rounds);
let ended = 0;

async function lane() {
  while (left > 0) {
    left -= 1;
    const root = programs[left % programs.length];
    const worker = new Worker(root, { type: "module" });
    worker.onerror = (event) => event.preventDefault();
    const begun = new Promise((resolve) => {
      worker.onmessage = resolve;
      void worker.exited.then(resolve);
    });
    // A third ends while it loads, a third when it has just begun, the others later.
    const moment = left % 3;
    if (moment > 0) await begun;
    if (moment > 1) await new Promise((go) => setTimeout(go, Math.random() * longestLifeMs));
    worker.terminate();
    await worker.exited;
    ended += 1;
  }
}

await Promise.all(Array.from({ length: lanes }, lane));
console.log(JSON.stringify({ ended }));
