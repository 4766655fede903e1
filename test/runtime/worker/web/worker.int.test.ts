/**
 * What our `Worker` tells beyond Deno's: figures, exit, limits, environment, output.
 *
 * @module
 */

import { MessageChannel } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { Worker, type WorkerOptions } from "../../../../runtime/worker/web/worker.ts";
import { soon } from "../../../support/soon.ts";

const workers: Worker[] = [];

function start(code: string, options: Omit<WorkerOptions, "type"> = {}): Worker {
  const url = `data:text/javascript,${encodeURIComponent(code)}`;
  const worker = new Worker(url, { type: "module", ...options });
  worker.addEventListener("error", (event) => event.preventDefault());
  workers.push(worker);
  return worker;
}

const answer = (worker: Worker): Promise<unknown> =>
  new Promise((resolve) => {
    worker.onmessage = (event) => resolve(event.data);
  });

afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.terminate();
    await worker.exited;
  }
});

test("its loop's turns, heap and busy time are read without asking it", async () => {
  const worker = start("onmessage = () => 0");
  await soon(() => worker.figures().turns).toBeGreaterThan(2);
  const { heapBytes, cpuMs, arrayBufferBytes } = worker.figures();
  expect(heapBytes).toBeGreaterThan(1_000_000);
  expect(cpuMs).toBeGreaterThan(0);
  expect(arrayBufferBytes).toBeGreaterThanOrEqual(0);
  expect(worker.id).toBeGreaterThan(0);
});

test("terminate ends a worker that spins, and exited says so", async () => {
  const worker = start("postMessage(0); for (;;);");
  await answer(worker);
  worker.terminate();
  expect(await worker.exited).toEqual({ code: 1, terminated: true });
});

test("exited tells how it ended, after its last message", async () => {
  const closing = start("for (let i = 0; i < 100; i++) postMessage(i); close()");
  let seen = 0;
  closing.onmessage = () => {
    seen += 1;
  };
  expect(await closing.exited).toEqual({ code: 0, terminated: false });
  expect(seen).toBe(100);
  const failing = await start("throw Object.assign(new TypeError('bad'), { code: 'X' })").exited;
  expect(failing).toMatchObject({ code: 1, terminated: false });
  expect(failing.fault?.error).toMatchObject({ name: "TypeError", message: "bad", code: "X" });
});

test("a full heap ends the worker alone, and is told as such", async () => {
  const code = "const all = []; for (;;) all.push(new Array(100_000).fill(1))";
  const { fault } = await start(code, { spectra: { heapLimitMb: 24 } }).exited;
  expect(fault?.kind).toBe("out-of-memory");
});

test("it sees of the environment what its permissions name", async () => {
  const options = {
    deno: { permissions: { env: ["SEEN"] } },
    spectra: { env: { SEEN: "1", HIDDEN: "2" } },
  };
  const code = "postMessage([process.env.SEEN, Object.keys(process.env)])";
  expect(await answer(start(code, options))).toEqual(["1", ["SEEN"]]);
});

test("what it prints can be taken", async () => {
  const printed: string[] = [];
  const print = (text: string, stream: string): void => {
    printed.push(`${stream}: ${text}`);
  };
  await start("console.log('out'); console.error('err'); close()", { spectra: { print } }).exited;
  await soon(() => printed.toSorted()).toEqual(["stderr: err\n", "stdout: out\n"]);
});

test("a port can be handed over", async () => {
  const { port1, port2 } = new MessageChannel();
  const heard = new Promise((resolve) => port1.once("message", resolve));
  start("onmessage = (e) => e.ports[0].postMessage(e.data.text)").postMessage(
    { text: "by port", port: port2 },
    [port2],
  );
  expect(await heard).toBe("by port");
  port1.close();
});

test("a restricted worker says how strongly each permission holds", () => {
  const none = start("0", { deno: { permissions: "none" } }).enforcement();
  expect(none.read).toBe("hard");
  expect(none.sys).toBe("soft");
});
