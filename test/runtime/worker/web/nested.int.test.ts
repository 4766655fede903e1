/**
 * Workers of restricted workers, which others start for them: as capable as any, never more than their
 * maker, and gone when it is gone.
 *
 * @module
 */

import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { MessageChannel } from "node:worker_threads";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { maximumNested, maximumNestedDepth } from "../../../../runtime/worker/web/nursery.ts";
import { Worker, type WorkerOptions } from "../../../../runtime/worker/web/worker.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { nodeMajors, runNode } from "../../../support/nodes.ts";

const timeoutMs = 120_000;
const program = fileURLToPath(new URL("./programs/nested-escape.mjs", import.meta.url));
const dist = fileURLToPath(new URL("../../../../dist", import.meta.url));
const dataUrl = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;
const workers: Worker[] = [];

beforeAll(ensureBuilt, timeoutMs);
afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.terminate();
    await worker.exited;
  }
});

/** Of every one of these the model is on, so that it may start no thread itself. */
const restricted = { env: ["A", "C"] };

function start(code: string, options: Omit<WorkerOptions, "type"> = {}): Worker {
  const worker = new Worker(dataUrl(code), {
    type: "module",
    deno: { permissions: restricted },
    ...options,
  });
  worker.addEventListener("error", (event) => event.preventDefault());
  workers.push(worker);
  return worker;
}

/** Code that makes `w`. */
const makes = (code: string, options = "{}"): string =>
  `const w = new Worker(${JSON.stringify(dataUrl(code))}, { type: "module", ...${options} });`;

function firstMessage(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = (event) => resolve(event.data);
    worker.onerror = (event) => reject(new Error(event.message));
  });
}

describe.each(["thread", "process"] as const)("in a %s", (isolation) => {
  const spectra = { isolation };

  test(
    "messages, names, transferables and ports go between the two directly",
    async () => {
      const inner = `onmessage = ({ data, ports }) => {
          ports[0].postMessage([self.name, data.byteLength]); postMessage(data, [data.buffer]); }`;
      const worker = start(
        `${makes(inner, '{ name: "inner" }')}
        const { port1, port2 } = new MessageChannel();
        const seen = [];
        const tell = () => { if (seen.length === 2) postMessage(seen); };
        port1.onmessage = ({ data }) => { seen.push(data); port1.close(); tell(); };
        w.onmessage = ({ data }) => { seen.push(data[7]); tell(); };
        const bytes = new Uint8Array(16).fill(5);
        w.postMessage(bytes, [port2, bytes.buffer]);
        seen.length = 0;`,
        { spectra },
      );
      const seen = (await firstMessage(worker)) as unknown[];
      expect(seen).toEqual(expect.arrayContaining([["inner", 16], 5]));
    },
    timeoutMs,
  );

  test(
    "its error is told with its place, and then its end",
    async () => {
      const worker = start(
        `${makes("onmessage = () => { throw new RangeError('far') }")}
        w.onerror = async (e) => { e.preventDefault(); const { code, fault } = await w.exited;
          postMessage([e.message, e.lineno, code, fault.error.name]) }; w.postMessage(0)`,
        { spectra },
      );
      const told = await firstMessage(worker);
      expect(told).toEqual(["Uncaught RangeError: far", 1, 1, "RangeError"]);
    },
    timeoutMs,
  );

  test(
    "it is ended while it spins, with figures and an id",
    async () => {
      const worker = start(
        `${makes("setTimeout(() => { postMessage(0); for (;;); }, 300)")}
        w.onmessage = async () => { const { heapBytes } = w.figures(); w.terminate();
          postMessage([w.id > 0, heapBytes > 0, await w.exited]) }`,
        { spectra },
      );
      expect(await firstMessage(worker)).toEqual([true, true, { code: 1, terminated: true }]);
    },
    timeoutMs,
  );

  test.each([
    ["closes", "close()"],
    ["exits", "process.exit(3)"],
    ["throws", "throw new Error('crash')"],
    ["is terminated", ""],
    ["is terminated while it spins", "for (;;);"],
  ])(
    "it and its own worker are gone when their maker %s",
    async (_, end) => {
      const spinner = "onmessage = ({ ports }) => { ports[0].postMessage(0); for (;;); }";
      const inner = `${makes(spinner)} onmessage = ({ ports }) => w.postMessage(0, [ports[0]])`;
      const worker = start(
        `${makes(inner)} onmessage = ({ data, ports }) => {
          if (data === 0) w.postMessage(0, [ports[0]]); else { postMessage(1); ${end} } }`,
        { spectra },
      );
      const { port1, port2 } = new MessageChannel();
      const spins = new Promise((resolve) => port1.once("message", resolve));
      const gone = new Promise((resolve) => port1.once("close", resolve));
      worker.postMessage(0, [port2]);
      await spins;
      const told = firstMessage(worker);
      worker.postMessage("end");
      await told;
      if (end === "" || end === "for (;;);") worker.terminate();
      await worker.exited;
      await gone;
    },
    timeoutMs,
  );

  test(
    "a file, its imports and a blob are loaded by the maker's rights",
    async () => {
      const folder = realpathSync(mkdtempSync(join(tmpdir(), "spectra-nested-")));
      writeFileSync(join(folder, "part.mjs"), "export default 'part';");
      writeFileSync(
        join(folder, "root.mts"),
        "import part from './part.mjs'; const a: string = part; postMessage(a);",
      );
      const url = pathToFileURL(join(folder, "root.mts")).href;
      const code = `const all = [];
        const made = [new Worker(${JSON.stringify(url)}, { type: "module", deno: { permissions: "none" } }),
          new Worker(URL.createObjectURL(new Blob(["postMessage('blob')"])), { type: "module" })];
        for (const w of made) {
          const add = (text) => { all.push(text); if (all.length === 2) postMessage(all.sort()); };
          w.onmessage = (e) => add(e.data); w.onerror = (e) => { e.preventDefault(); add(e.message); };
        }`;
      const able = start(code, { deno: { permissions: { read: [folder] } }, spectra });
      expect(await firstMessage(able)).toEqual(["blob", "part"]);
      const unable = start(code, { spectra });
      const path = join(folder, "root.mts");
      expect(await firstMessage(unable)).toEqual([
        `Requires read access to "${path}", run again with the --allow-read flag`,
        "blob",
      ]);
      rmSync(folder, { recursive: true });
    },
    timeoutMs,
  );

  test(
    "what it gives up, its maker loses with it, and can pass on no more",
    async () => {
      const inner = `await Deno.permissions.revoke({ name: "env", variable: "A" }); postMessage(0)`;
      const worker = start(
        `${makes(inner)} w.onmessage = () => {
          const { state } = Deno.permissions.querySync({ name: "env", variable: "A" });
          try { new Worker("data:,0", { type: "module", deno: { permissions: { env: ["A"] } } }); postMessage("made"); }
          catch (error) { postMessage([state, error.name]); } }`,
        { spectra },
      );
      expect(await firstMessage(worker)).toEqual(["denied", "NotCapable"]);
    },
    timeoutMs,
  );

  test(
    "a process tier is refused, and a heap is limited to the maker's",
    async () => {
      const worker = start(
        `let why; try { new Worker("data:,0", { type: "module", spectra: { isolation: "process" } }) } catch (e) { why = e.code }
        ${makes("const all = []; for (;;) all.push(new Array(100_000).fill(1))", "{ spectra: { heapLimitMb: 4_000 } }")}
        w.onerror = (e) => e.preventDefault();
        w.exited.then(({ fault }) => postMessage([why, fault.kind]));`,
        { spectra: { ...spectra, heapLimitMb: 48 } },
      );
      expect(await firstMessage(worker)).toEqual(["ISOLATION_UNAVAILABLE", "out-of-memory"]);
    },
    timeoutMs,
  );
});

test(
  "there are at most so many at once, and others when some have ended",
  async () => {
    const worker = start(`let lives = 0, refused = [];
      const make = () => { const w = new Worker("data:text/javascript,postMessage(0)", { type: "module" });
        w.onmessage = () => { lives += 1; look(); };
        w.onerror = (e) => { e.preventDefault(); w.exited.then(({ fault }) => { refused.push(fault.error.code); look(); }) };
        return w; };
      const all = Array.from({ length: ${maximumNested + 3} }, make);
      let again = false;
      async function look() {
        if (lives + refused.length < all.length) return;
        if (again) return postMessage([lives, refused]);
        again = true;
        all[0].terminate(); await all[0].exited; all.push(make());
      }`);
    expect(await firstMessage(worker)).toEqual([
      maximumNested + 1,
      ["WORKER_LIMIT", "WORKER_LIMIT", "WORKER_LIMIT"],
    ]);
  },
  timeoutMs,
);

test(
  "they are nested at most so deep",
  async () => {
    // Each makes the next from its own text.
    const code = `onmessage = ({ data: [text, depth] }) => {
      const w = new Worker(text, { type: "module" });
      w.onmessage = (e) => postMessage(e.data);
      w.onerror = (e) => { e.preventDefault(); w.exited.then(({ fault }) => postMessage([depth, fault.error.code])); };
      w.postMessage([text, depth + 1]); }`;
    const worker = start(code);
    const told = firstMessage(worker);
    worker.postMessage([dataUrl(code), 1]);
    expect(await told).toEqual([maximumNestedDepth, "WORKER_LIMIT"]);
  },
  timeoutMs,
);

/** Attempts that would succeed for a maker with these rights. */
const harmless = ["honest", "nodeOptions", "environment", "execArgv"];

test.each([...nodeMajors.map((major) => [major, "thread"]), [nodeMajors[0] ?? "", "process"]])(
  "on Node %s, in a %s, forged requests give nothing that the maker has not",
  async (major, isolation) => {
    const { code, stdout, stderr } = await runNode(major, [program, dist, isolation]);
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    const outcomes = JSON.parse(stdout) as Readonly<Record<string, readonly string[]>>;
    expect(Object.keys(outcomes).length).toBeGreaterThan(20);
    const alive = Object.keys(outcomes).filter((name) => outcomes[name]?.[0] === "read");
    expect(alive).toEqual(harmless);
    for (const name of alive) expect(outcomes[name]).toEqual(["read"]);
  },
  timeoutMs,
);
