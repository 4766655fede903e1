/**
 * Rows 32 to 41: transfer, shared memory, channels. Expectations are Deno 2.9's.
 *
 * @module
 */

import { equal, includes, ok, throws } from "../tools.mjs";

const echo = "onmessage = (e) => postMessage(e.data)";

export const transferCases = [
  [
    32,
    "a transferred buffer is detached here and whole there",
    async (t) => {
      const { ask } = t.start("onmessage = ({ data }) => postMessage(data.byteLength, [data])");
      const buffer = new ArrayBuffer(8);
      equal(await ask(buffer, [buffer]), 8);
      equal(buffer.byteLength, 0);
    },
  ],
  [
    33,
    "the form { transfer }",
    async (t) => {
      const { ask } = t.start(
        "onmessage = ({ data }) => { postMessage(data, { transfer: [data] }); postMessage(data.byteLength) }",
      );
      const buffer = new ArrayBuffer(8);
      equal((await ask(buffer, { transfer: [buffer] })).byteLength, 8);
      equal(buffer.byteLength, 0);
    },
  ],
  [
    34,
    "null, undefined and {} as second argument",
    async (t) => {
      const { ask } = t.start(
        "onmessage = ({ data }) => postMessage(data, data === 1 ? null : data === 2 ? undefined : {})",
      );
      equal([await ask(1, null), await ask(2, undefined), await ask(3, {})], [1, 2, 3]);
      const { worker } = t.start(echo);
      throws(() => worker.postMessage(0, 5), "TypeError");
    },
  ],
  [
    35,
    "ports are transferred both ways and are in event.ports",
    async (t) => {
      const { worker, event } = t.start(`
        const channel = new MessageChannel();
        channel.port1.onmessage = (e) => postMessage("port1 " + e.data);
        onmessage = (e) => { e.ports[0].onmessage = (f) => e.ports[0].postMessage("back " + f.data); postMessage("linked"); };
        postMessage("port", [channel.port2]);`);
      const first = await event();
      equal([first.data, first.ports.length], ["port", 1]);
      ok(first.ports[0] instanceof MessagePort, "a MessagePort");
      first.ports[0].postMessage("hello");
      equal((await event()).data, "port1 hello");
      const { port1, port2 } = new MessageChannel();
      const back = new Promise((resolve) => {
        port1.onmessage = (e) => resolve(e.data);
      });
      worker.postMessage("take", [port2]);
      equal((await event()).data, "linked");
      port1.postMessage("there");
      equal(await back, "back there");
      port1.close();
      first.ports[0].close();
    },
  ],
  [
    36,
    "a ReadableStream can be transferred",
    async (t) => {
      const { worker, next } = t.start(`onmessage = async ({ data }) => {
        const all = []; for await (const chunk of data) all.push(chunk); postMessage(all) }`);
      const stream = new ReadableStream({
        start(controller) {
          controller.enqueue(1);
          controller.enqueue(2);
          controller.close();
        },
      });
      worker.postMessage(stream, [stream]);
      equal(await next(), [1, 2]);
    },
  ],
  [
    37,
    "a SharedArrayBuffer is shared",
    async (t) => {
      const shared = new Int32Array(new SharedArrayBuffer(4));
      const { ask } = t.start("onmessage = ({ data }) => { data[0] += 41; postMessage(data[0]) }");
      shared[0] = 1;
      equal([await ask(shared), shared[0]], [42, 42]);
    },
  ],
  [
    38,
    "Atomics.waitAsync resolves, in one worker and in four",
    async (t) => {
      const code = `onmessage = async ({ data }) => {
        const { value } = Atomics.waitAsync(data, 0, 0); postMessage("waiting"); postMessage(await value) }`;
      for (const count of [1, 4]) {
        const shared = new Int32Array(new SharedArrayBuffer(4));
        const workers = Array.from({ length: count }, () => t.start(code));
        for (const { ask } of workers) equal(await ask(shared), "waiting");
        Atomics.notify(shared, 0);
        for (const { next } of workers) equal(await next(), "ok");
      }
    },
  ],
  [
    39,
    "a BroadcastChannel reaches from parent to worker and back",
    async (t) => {
      const channel = new BroadcastChannel("conformance");
      const heard = new Promise((resolve) => {
        channel.onmessage = (e) => resolve(e.data);
      });
      const { next } = t.start(`const channel = new BroadcastChannel("conformance");
        channel.onmessage = (e) => { channel.postMessage(e.data + 1); }; postMessage("ready")`);
      equal(await next(), "ready");
      channel.postMessage(1);
      equal(await heard, 2);
      channel.close();
    },
  ],
  [
    40,
    "what cannot be deserialised is a messageerror",
    async (t) => {
      // A compiled module may not leave its process in a port's message only where it is refused; both runtimes take it here.
      const { worker } = t.start(echo);
      const seen = new Promise((resolve) => {
        worker.onmessageerror = resolve;
      });
      worker.dispatchEvent(new MessageEvent("messageerror", { data: new Error("bad") }));
      const event = await seen;
      equal([event.type, event.data.message], ["messageerror", "bad"]);
    },
  ],
  [
    41,
    "globals are apart: two workers and their parent",
    async (t) => {
      globalThis.mark = "parent";
      const code =
        "onmessage = ({ data }) => { const had = globalThis.mark; globalThis.mark = data; postMessage(had ?? null) }";
      const [one, two] = [t.start(code), t.start(code)];
      equal([await one.ask(1), await two.ask(2), await one.ask(3)], [null, null, 1]);
      equal(globalThis.mark, "parent");
      delete globalThis.mark;
      includes(String(await one.ask(0)), "3");
    },
  ],
];
