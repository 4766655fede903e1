/**
 * Rows 15 to 31: messages. Expectations are Deno 2.9's.
 *
 * @module
 */

import { equal, ok, throws } from "../tools.mjs";

const echo = "onmessage = (e) => postMessage(e.data)";

export const messageCases = [
  [
    15,
    "messages posted before the worker has loaded are queued, in order",
    async (t) => {
      const { worker, next } = t.start(echo);
      for (let i = 0; i < 5; i += 1) worker.postMessage(i);
      for (let i = 0; i < 5; i += 1) equal(await next(), i);
    },
  ],
  [
    16,
    "delivery begins while top-level await is pending; a later handler misses what came before",
    async (t) => {
      const early = t.start(`
        await new Promise((resolve) => { onmessage = (e) => { postMessage("got " + e.data); resolve(); }; postMessage("ready"); });`);
      equal(await early.next(), "ready");
      equal(await early.ask(1), "got 1");
      const late = t.start(`
        const seen = new Promise((resolve) => addEventListener("message", resolve, { once: true }));
        await seen;
        onmessage = (e) => postMessage("late " + e.data);
        postMessage("set");`);
      late.worker.postMessage("first");
      equal(await late.next(), "set");
      equal(await late.ask("second"), "late second");
    },
  ],
  [
    17,
    "a burst of 500 arrives in order, each without ports",
    async (t) => {
      const { worker, event } = t.start(`
        let n = 0; onmessage = (e) => {
          if (e.data !== n || e.ports.length !== 0) throw new Error("at " + n + ": " + e.data);
          n += 1; if (n === 500) for (let i = 0; i < 500; i++) postMessage(i); }`);
      for (let i = 0; i < 500; i += 1) worker.postMessage(i);
      for (let i = 0; i < 500; i += 1) {
        const { data, ports } = await event();
        equal([data, ports.length], [i, 0]);
      }
    },
  ],
  [
    18,
    "onmessage that is set anew in a microtask gets the next queued message",
    async (t) => {
      const { worker, next } = t.start(`
        onmessage = (e) => { postMessage("a" + e.data);
          Promise.resolve().then(() => { onmessage = (f) => postMessage("b" + f.data); }); }`);
      worker.postMessage(1);
      worker.postMessage(2);
      equal([await next(), await next()], ["a1", "b2"]);
      const burst = t.raw(`data:text/javascript,postMessage(1);postMessage(2)`);
      const second = await new Promise((resolve) => {
        burst.onmessage = () => {
          void Promise.resolve().then(() => {
            burst.onmessage = (e) => resolve(e.data);
          });
        };
      });
      equal(second, 2);
    },
  ],
  [
    19,
    "handlers run in the order of registration, onmessage among them",
    async (t) => {
      const { worker, event } = t.start(echo);
      const order = [];
      worker.addEventListener("message", () => order.push(1));
      worker.onmessage = () => order.push(2);
      worker.addEventListener("message", () => order.push(3));
      worker.postMessage(0);
      await event();
      await Promise.resolve();
      equal(order, [1, 2, 3]);
      const inside = t.start(`const o = []; addEventListener("message", () => o.push(1));
        onmessage = () => o.push(2); addEventListener("message", () => { o.push(3); postMessage(o); })`);
      equal(await inside.ask(0), [1, 2, 3]);
    },
  ],
  [
    20,
    "onmessage that is set anew keeps its place",
    async (t) => {
      const { worker } = t.start(echo);
      const order = [];
      worker.onmessage = () => order.push("h1");
      worker.addEventListener("message", () => order.push("l"));
      worker.onmessage = () => order.push("h2");
      worker.dispatchEvent(new MessageEvent("message", { data: 0 }));
      equal(order, ["h2", "l"]);
      // Once null, the place is kept as well.
      worker.onmessage = null;
      worker.dispatchEvent(new MessageEvent("message", { data: 0 }));
      equal(order, ["h2", "l", "l"]);
    },
  ],
  [
    21,
    "what cannot be called makes onmessage null",
    async (t) => {
      const { worker } = t.start(echo);
      for (const value of [5, "text", undefined]) {
        worker.onmessage = value;
        equal(worker.onmessage, null);
      }
      equal(await t.start("onmessage = 7; postMessage(onmessage)").next(), null);
    },
  ],
  [
    22,
    "a Worker is an event target: listeners and attributes both fire, for errors too",
    async (t) => {
      const { worker, event, error } = t.start(
        `onmessage = (e) => { if (e.data === "boom") throw new Error("boom"); postMessage(e.data); }`,
      );
      ok(worker instanceof EventTarget, "an EventTarget");
      let calls = 0;
      worker.onmessage = () => (calls += 1);
      worker.addEventListener("message", () => (calls += 1));
      worker.onerror = () => (calls += 10);
      worker.addEventListener("error", () => (calls += 10));
      worker.postMessage("ping");
      await event();
      await t.fence();
      worker.postMessage("boom");
      await error();
      await t.fence();
      equal(calls, 22);
    },
  ],
  [
    23,
    "the worker's scope is an event target",
    async (t) => {
      const { worker, next } = t.start(`
        let messages = 0, errors = 0;
        self.onmessage = (e) => { messages++; if (e.data === "boom") throw new Error("boom"); };
        self.addEventListener("message", () => messages++);
        self.addEventListener("message", (e) => { if (e.data !== "boom") postMessage([messages, errors, self instanceof EventTarget]); });
        self.onerror = () => { errors++; return true; };
        self.addEventListener("error", (e) => { errors++; e.preventDefault(); });`);
      worker.postMessage("boom");
      worker.postMessage("ping");
      equal(await next(), [4, 2, true]);
    },
  ],
  [
    24,
    "the target of a message inside is the global scope",
    async (t) => {
      const { ask } = t.start(
        "onmessage = function (e) { postMessage([e.target === self, e.currentTarget === globalThis, this === self, String(e.target)]) }",
      );
      equal(await ask(0), [true, true, true, "[object DedicatedWorkerGlobalScope]"]);
    },
  ],
  [
    25,
    "a message event is trusted, has no origin and source, frozen ports, and cannot be cancelled",
    async (t) => {
      const look = (e) => [
        e.isTrusted,
        e.origin,
        e.source,
        e.lastEventId,
        Object.isFrozen(e.ports),
        e.ports.length,
        e.cancelable,
        e.bubbles,
        e instanceof MessageEvent,
      ];
      const expected = [true, "", null, "", true, 0, false, false, true];
      const { worker, event } = t.start(`onmessage = (e) => postMessage((${look})(e))`);
      worker.postMessage(0);
      const answer = await event();
      equal(answer.data, expected);
      equal(look(answer), expected);
      equal(answer.target, worker);
    },
  ],
  [
    26,
    "postMessage() without an argument is a TypeError",
    async (t) => {
      const { worker, next } = t.start("try { postMessage() } catch (e) { postMessage(e.name) }");
      equal(await next(), "TypeError");
      throws(() => worker.postMessage(), "TypeError", "1 argument required, but only 0 present");
    },
  ],
  [
    27,
    "postMessage(undefined) arrives",
    async (t) => {
      const { worker, event } = t.start(
        "onmessage = (e) => { if (e.data === undefined) postMessage(undefined) }",
      );
      worker.postMessage(undefined);
      equal((await event()).data, undefined);
    },
  ],
  [
    28,
    "functions, symbols and promises throw DataCloneError at once, both ways",
    async (t) => {
      const { worker, next } = t.start(`const codes = [];
        for (const value of [() => 0, Symbol("s"), Promise.resolve()]) {
          try { postMessage(value) } catch (e) { codes.push([e.name, e.code, e instanceof DOMException]) }
        }
        postMessage(codes)`);
      equal(await next(), Array(3).fill(["DataCloneError", 25, true]));
      for (const value of [() => 0, Symbol("s"), Promise.resolve(), { deep: [() => 0] }]) {
        const error = throws(
          () => worker.postMessage(value),
          "DataCloneError",
          "could not be cloned",
        );
        ok(error instanceof DOMException && error.code === 25, "a DOMException with code 25");
      }
    },
  ],
  [
    29,
    "cycles, shared references and every plain type survive",
    async (t) => {
      const list = ["a", true, 432];
      const sent = {
        a: list,
        b: list,
        set: new Set([1]),
        map: new Map([["k", 1n]]),
        date: new Date(5),
        pattern: /x/gi,
        minusZero: -0,
        notANumber: Number.NaN,
        nothing: undefined,
        big: 2n ** 70n,
        bytes: new Uint8Array([1, 2]),
        hole: Array(3),
      };
      sent.self = sent;
      const { worker, next } = t.start(
        `onmessage = ({ data }) => { data.b[0] = "b"; postMessage(data) }`,
      );
      worker.postMessage(sent);
      const got = await next();
      ok(got === got.self, "the cycle");
      ok(got.a === got.b && got.a[0] === "b", "the shared list");
      equal([got.set.has(1), got.map.get("k"), got.date.getTime()], [true, 1n, 5]);
      equal(
        [String(got.pattern), Object.is(got.minusZero, -0), Number.isNaN(got.notANumber)],
        ["/x/gi", true, true],
      );
      equal(
        ["nothing" in got, got.nothing, got.big, [...got.bytes]],
        [true, undefined, 2n ** 70n, [1, 2]],
      );
      equal([got.hole.length, 1 in got.hole], [3, false]);
    },
  ],
  [
    30,
    "an instance loses its class, and its getters are evaluated",
    async (t) => {
      class Point {
        x = 1;
        get y() {
          return 2;
        }
      }
      const { ask } = t.start(echo);
      const got = await ask({
        point: new Point(),
        get seven() {
          return 7;
        },
      });
      equal(Object.getPrototypeOf(got.point), Object.prototype);
      equal([got.point.x, got.point.y, got.seven], [1, undefined, 7]);
      equal(Object.getOwnPropertyDescriptor(got, "seven").value, 7);
    },
  ],
  [
    31,
    "built-in errors and their cause survive; a subclass and its fields do not",
    async (t) => {
      class Own extends Error {
        code = "E";
      }
      const { ask } = t.start(echo);
      const range = await ask(new RangeError("r", { cause: new Error("c") }));
      ok(range instanceof RangeError && range.message === "r", "a RangeError");
      equal(range.cause.message, "c");
      const plain = await ask(new Own("o"));
      equal([plain.constructor, plain.message, plain.code], [Error, "o", undefined]);
    },
  ],
];
