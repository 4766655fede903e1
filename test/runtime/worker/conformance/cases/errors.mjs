/**
 * Rows 50 to 62: errors. Expectations are Deno 2.9's.
 *
 * @module
 */

import { dataUrl, equal, includes, ok } from "../tools.mjs";

export const errorCases = [
  [
    50,
    "an uncaught error is an error event with message and place; not bubbling, error is null",
    async (t) => {
      const { url } = t.file("throw.mjs", `onmessage = () => {\n  throw new TypeError("bad");\n};`);
      const { worker, error } = t.load(url);
      worker.postMessage(0);
      const event = await error();
      ok(event instanceof ErrorEvent, "an ErrorEvent");
      equal(
        [event.type, event.message, event.filename, event.lineno, event.colno],
        ["error", "Uncaught TypeError: bad", url, 2, 9],
      );
      equal(
        [event.error, event.cancelable, event.bubbles, event.target],
        [null, true, false, worker],
      );
    },
  ],
  [
    51,
    "an async error and an unhandled rejection are told as (in promise)",
    async (t) => {
      const rejected = await t.start(`Promise.reject(new Error("rej"))`).error();
      equal(rejected.message, "Uncaught (in promise) Error: rej");
      const { url } = t.file("async.mjs", `(async () => {\n  throw new Error("bar");\n})();`);
      const thrown = await t.load(url).error();
      equal(
        [thrown.message, thrown.filename, thrown.lineno],
        ["Uncaught (in promise) Error: bar", url, 2],
      );
      const atTop = await t.start(`throw new Error("top")`).error();
      equal(atTop.message, "Uncaught (in promise) Error: top");
    },
  ],
  [
    52,
    "after an uncaught error the worker is dead, although the event was prevented",
    async (t) => {
      const { worker, error, messages } = t.start(
        `onmessage = (e) => { if (e.data === 1) throw new Error("x"); postMessage("alive") }`,
      );
      worker.postMessage(1);
      await error();
      worker.postMessage(2);
      await t.fence();
      equal(messages.length, 0);
    },
  ],
  [
    53,
    "self.onerror that returns true, or preventDefault inside, hides the error and keeps it alive",
    async (t) => {
      const ways = [
        "self.onerror = () => true;",
        `addEventListener("error", (e) => e.preventDefault());`,
      ];
      for (const way of ways) {
        const { ask, errors, worker } = t.start(
          `${way} onmessage = (e) => { if (e.data === 1) throw new Error("x"); postMessage("alive") }`,
        );
        worker.postMessage(1);
        equal([await ask(2), errors.length], ["alive", 0]);
      }
    },
  ],
  [
    54,
    "an unhandledrejection that is prevented keeps it alive",
    async (t) => {
      const { worker, next, ask, errors } = t.start(`
        addEventListener("unhandledrejection", (e) => { e.preventDefault();
          postMessage([e.reason.message, e.promise instanceof Promise, e instanceof PromiseRejectionEvent, e.cancelable]) });
        onmessage = (e) => { if (e.data === 1) Promise.reject(new Error("r")); else postMessage("alive") }`);
      worker.postMessage(1);
      equal(await next(), ["r", true, true, true]);
      equal([await ask(2), errors.length], ["alive", 0]);
    },
  ],
  [
    55,
    "self.onerror gets message, filename, lineno, colno and the error",
    async (t) => {
      const { url } = t.file(
        "onerror.mjs",
        `self.onerror = (...all) => { postMessage(all); return true; };
onmessage = () => {
  throw new Error("some");
};`,
      );
      const { worker, next } = t.load(url);
      worker.postMessage(0);
      const [message, filename, lineno, colno, error] = await next();
      equal([message, filename, lineno, colno], ["Uncaught Error: some", url, 3, 9]);
      equal([error instanceof Error, error.message], [true, "some"]);
      const order = t.start(`self.onerror = () => true;
        addEventListener("error", (e) => postMessage(e.defaultPrevented)); onmessage = () => { throw new Error("x") }`);
      equal(await order.ask(0), true);
    },
  ],
  [
    56,
    "reportError is like an uncaught error",
    async (t) => {
      const { error, messages } = t.start(
        `reportError(new Error("rep")); setTimeout(() => postMessage("on"), 20)`,
      );
      equal((await error()).message, "Uncaught Error: rep");
      await t.fence();
      equal(messages.length, 0);
      const { next } = t.start(
        `self.onerror = () => true; reportError(new Error("rep")); postMessage("on")`,
      );
      equal(await next(), "on");
    },
  ],
  [
    57,
    "null and objects that are thrown: Uncaught null, Uncaught { a: 1 }",
    async (t) => {
      const texts = [];
      for (const thrown of ["null", "{ a: 1 }", "'text'", "5"]) {
        const { worker, error } = t.start(`onmessage = () => { throw ${thrown} }`);
        worker.postMessage(0);
        texts.push((await error()).message);
      }
      equal(texts, ["Uncaught null", "Uncaught { a: 1 }", `Uncaught "text"`, "Uncaught 5"]);
    },
  ],
  [
    58,
    "an error that nobody handles reaches the parent's global scope, then ends the parent with code 1",
    async (t) => {
      const { url } = t.file("fails.mjs", `onmessage = () => { throw new Error("fails") }`);
      const start = `const w = new Worker(${JSON.stringify(url)}, { type: "module" }); w.postMessage(0);`;
      const unhandled = await t.program(
        `${start} setTimeout(() => console.log("still there"), 30000);`,
      );
      equal([unhandled.code, unhandled.lines], [1, []]);
      includes(unhandled.err, "Error: fails");
      includes(unhandled.err, "Unhandled error in child worker.");
      const handled = await t.program(`globalThis.addEventListener("error", (e) => {
          console.log(e.message); e.preventDefault(); }); ${start}`);
      equal([handled.code, handled.lines], [0, ["Uncaught Error: fails"]]);
    },
  ],
  [
    59,
    "errors go up worker by worker",
    async (t) => {
      const inner = dataUrl(`throw new Error("deep")`);
      const middle = `new Worker(${JSON.stringify(inner)}, { type: "module" });`;
      equal(
        (await t.start(middle).error()).message,
        "Uncaught (in promise) Error: Unhandled error in child worker.",
      );
      const outer = `new Worker(${JSON.stringify(dataUrl(middle))}, { type: "module" });
        setTimeout(() => console.log("still there"), 30000);`;
      const { code, lines, err } = await t.program(outer);
      equal([code, lines], [1, []]);
      includes(err, "Error: deep");
      includes(err, "Unhandled error in child worker.");
    },
  ],
  [
    60,
    "an error in a listener stops the rest of that turn",
    async (t) => {
      const { url } = t.file(
        "stops.mjs",
        `import process from "node:process";
        addEventListener("foo", () => {
          queueMicrotask(() => console.log("microtask"));
          setTimeout(() => console.log("timer"), 0);
          throw new Error("bar");
        });
        console.log(1);
        process.nextTick(() => console.log("nextTick"));
        dispatchEvent(new CustomEvent("foo"));
        console.log(2);`,
      );
      const { code, lines, err } = await t.program(
        `new Worker(${JSON.stringify(url)}, { type: "module" })`,
      );
      equal([code, lines], [1, ["1"]]);
      includes(err, "Error: bar");
    },
  ],
  [
    61,
    "several workers that fail at once are each told",
    async (t) => {
      const workers = Array.from({ length: 8 }, (_, i) =>
        t.start(`onmessage = () => { throw new Error("n${i}") }`),
      );
      for (const { worker } of workers) worker.postMessage(0);
      const texts = await Promise.all(workers.map(async ({ error }) => (await error()).message));
      equal(
        texts,
        workers.map((_, i) => `Uncaught Error: n${i}`),
      );
    },
  ],
  [
    62,
    "a handler of the parent that throws harms neither worker nor later messages",
    async (t) => {
      const { code, lines } = await t.program(`
        const w = new Worker(${JSON.stringify(dataUrl("onmessage = (e) => postMessage(e.data)"))}, { type: "module" });
        globalThis.addEventListener("error", (e) => { console.log(e.message); e.preventDefault(); });
        w.onmessage = (e) => { console.log(e.data); if (e.data === 2) w.terminate(); else throw new Error("mine"); };
        w.postMessage(1); w.postMessage(2);`);
      equal([code, lines], [0, ["1", "Uncaught Error: mine", "2"]]);
    },
  ],
];
