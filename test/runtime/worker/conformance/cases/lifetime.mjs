/**
 * Rows 63 to 80: lifetime. Expectations are Deno 2.9's, but for row 73, where Deno fails.
 *
 * @module
 */

import { dataUrl, equal, includes, ok } from "../tools.mjs";

const echo = "onmessage = (e) => postMessage(e.data)";
const child = (code) => `new Worker(${JSON.stringify(dataUrl(code))}, { type: "module" })`;

export const lifetimeCases = [
  [
    63,
    "a worker can have workers",
    async (t) => {
      const { ask } = t.start(`const inner = ${child(echo)};
        inner.onmessage = (e) => postMessage({ text: e.data }); onmessage = (e) => inner.postMessage(e.data)`);
      equal([await ask("Hello"), await ask("again")], [{ text: "Hello" }, { text: "again" }]);
    },
  ],
  [
    64,
    "what was posted before close() is delivered",
    async (t) => {
      const workers = Array.from({ length: 4 }, () =>
        t.start("onmessage = () => { for (let i = 0; i < 200; i++) postMessage(i); close(); }"),
      );
      for (const { worker } of workers) worker.postMessage(0);
      for (const { next } of workers) {
        for (let i = 0; i < 200; i += 1) equal(await next(), i);
      }
    },
  ],
  [
    65,
    "nothing runs after close(): no statement, timer, interval or message",
    async (t) => {
      const { worker, next, messages } = t.start(`
        onmessage = () => postMessage("message");
        setTimeout(() => postMessage("timeout"), 10); setInterval(() => postMessage("interval"), 10);
        queueMicrotask(() => postMessage("microtask"));
        postMessage("before"); close(); postMessage("after");`);
      worker.postMessage(0);
      equal(await next(), "before");
      worker.postMessage(0);
      await t.fence();
      equal(messages.length, 0);
    },
  ],
  [
    66,
    "close() in a reaction of WebAssembly does not crash",
    async (t) => {
      const code = `const bytes = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 0, 0]);
        WebAssembly.compile(bytes).catch((error) => { console.log(error.name); self.close(); });`;
      const { code: exit, lines, err } = await t.program(child(code));
      equal([exit, lines], [0, ["CompileError"]], err);
    },
  ],
  [
    67,
    "close() against terminate() is safe",
    async (t) => {
      const main = `for (let i = 0; i < 8; i++) {
        const w = ${child(`setTimeout(() => { postMessage(""); close(); }, 20)`)};
        w.onmessage = () => { console.log("m"); w.terminate(); }; }`;
      const { code, lines, err } = await t.program(main);
      equal([code, lines.length], [0, 8], err);
    },
  ],
  [
    68,
    "closing or terminating a worker ends its children",
    async (t) => {
      let beats = [];
      let onBeat = () => undefined;
      // Over the network, since that reaches out of any worker.
      const base = await t.serve({}, (path) => {
        beats.push(path);
        onBeat();
      });
      for (const way of ["close", "terminate"]) {
        const path = `/${way}`;
        const inner = `for (;;) await (await fetch(${JSON.stringify(base + path)})).text()`;
        const { worker } = t.start(`${child(inner)}; onmessage = () => close()`);
        await new Promise((resolve) => {
          onBeat = () => beats.includes(path) && resolve();
        });
        if (way === "close") worker.postMessage(0);
        else worker.terminate();
        // What it has sent before its end arrives meanwhile.
        await t.fence();
        await t.fence();
        beats = [];
        await t.fence();
        equal(beats, [], `beats after ${way}`);
      }
    },
  ],
  [
    69,
    "a main program that ends while a worker spins is safe",
    async (t) => {
      const thrown = await t.program(
        `${child("setTimeout(() => { throw new Error('late'); }, 100)")};`,
      );
      equal(thrown.code, 1);
      includes(thrown.err, "Error: late");
      const exits = await t.program(`const w = ${child("postMessage(1); for (;;);")};
        w.onmessage = () => { console.log("spins"); process.exit(3); };`);
      equal([exits.code, exits.lines], [3, ["spins"]]);
    },
  ],
  [
    70,
    "terminate() twice is fine, no event follows, and posting is a no-op",
    async (t) => {
      const { worker, next, messages, errors } = t.start(
        "let n = 0; setInterval(() => postMessage(n++), 1); onmessage = () => { throw new Error('x') }",
      );
      await next();
      worker.terminate();
      messages.length = 0;
      equal(worker.terminate(), undefined);
      equal(worker.postMessage("x"), undefined);
      await t.fence();
      equal([messages.length, errors.length], [0, 0]);
    },
  ],
  [
    71,
    "terminate() right after construction, with top-level await, does not crash (10 times)",
    async (t) => {
      const code = "await new Promise((resolve) => setTimeout(resolve, 5)); postMessage(1)";
      const main = `for (let i = 0; i < 10; i++) { const w = ${child(code)}; w.onmessage = () => console.log("message");
        await new Promise((resolve) => setTimeout(resolve, i)); w.terminate(); }`;
      const { code: exit, err } = await t.program(main);
      equal([exit, err], [0, ""]);
    },
  ],
  [
    72,
    "terminate() returns without waiting",
    async (t) => {
      const { worker, next } = t.start(
        "postMessage(1); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000)",
      );
      await next();
      const before = performance.now();
      equal(worker.terminate(), undefined);
      ok(performance.now() - before < 5_000, "it returned before the worker's wait of 10 s ended");
    },
  ],
  [
    73,
    "terminate() ends a worker that spins",
    async (t) => {
      // A spinning loop counts in a file, which can be seen from outside of any worker; it must stop.
      const { path } = t.file("count", "0");
      const spin = `import { writeFileSync } from "node:fs"; let n = 0;
        onmessage = () => { postMessage(0); for (;;) { n += 1; if (n % 1_000_000 === 0) writeFileSync(${JSON.stringify(path)}, String(n)); } }`;
      const main = `import { readFileSync } from "node:fs";
        const count = () => readFileSync(${JSON.stringify(path)}, "utf8");
        const pause = () => new Promise((resolve) => setTimeout(resolve, 20));
        const w = ${child(spin)};
        w.onmessage = async () => {
          while (count() === "0") await pause();
          w.terminate();
          for (let round = 0, still = 0, last = ""; round < 250; round++) {
            await pause();
            const seen = count();
            // On a busy machine a thread may rest for a while.
            still = seen === last ? still + 1 : 0;
            last = seen;
            if (still === 50) { console.log("stopped"); process.exit(0); }
          }
          console.log("spins on"); process.exit(0);
        };
        w.postMessage(0);`;
      equal((await t.program(main)).lines, ["stopped"]);
    },
  ],
  [
    74,
    "terminate() during evaluation, during a dynamic import, during top-level await",
    async (t) => {
      const spin = t.file("spin.mjs", "for (;;);").url;
      const ways = [
        "postMessage(1); for (;;);",
        `postMessage(1); await import(${JSON.stringify(spin)});`,
        "postMessage(1); await new Promise(() => undefined);",
      ];
      for (const way of ways) {
        const main = `const w = ${child(way)};
          w.onmessage = () => { w.terminate(); w.postMessage(0); console.log("terminated"); setTimeout(() => process.exit(0), 50); };`;
        const { code, lines, err } = await t.program(main);
        equal([code, lines], [0, ["terminated"]], err);
      }
    },
  ],
  [
    75,
    "terminate() with messages waiting on a transferred port",
    async (t) => {
      const { worker, next, messages } = t.start(
        "onmessage = (e) => { postMessage('has'); for (;;); }",
      );
      const { port1, port2 } = new MessageChannel();
      worker.postMessage(0, [port2]);
      equal(await next(), "has");
      for (let i = 0; i < 100; i += 1) port1.postMessage(i);
      worker.terminate();
      port1.postMessage("late");
      port1.close();
      await t.fence();
      equal(messages.length, 0);
    },
  ],
  [
    76,
    "a live worker keeps the process alive; terminate and close release it",
    async (t) => {
      const idle = `const w = ${child("onmessage = () => close()")};`;
      const released = await t.program(
        `${idle} setTimeout(() => { console.log("t"); w.terminate() }, 50)`,
      );
      equal([released.code, released.lines], [0, ["t"]]);
      const closed = await t.program(
        `${idle} w.postMessage(0); process.on("exit", () => console.log("end"))`,
      );
      equal([closed.code, closed.lines], [0, ["end"]]);
      // Nothing but the idle worker is left in the main program; the worker's own timer ends it.
      const kept = await t.program(
        child(`setTimeout(() => { console.log("kept"); close() }, 300); onmessage = () => 0`),
      );
      equal([kept.code, kept.lines], [0, ["kept"]]);
      const silent =
        await t.program(`const w = ${child("0")}; process.on("exit", () => console.log("too early"));
        setTimeout(() => { console.log("idle"); process.exit(4) }, 500).unref?.();`);
      ok(
        silent.lines[0] === "idle" && silent.code === 4,
        `an idle worker was not kept: ${silent.lines}`,
      );
    },
  ],
  [
    77,
    "Deno.exit and process.exit in a worker end only it, without an overridden close",
    async (t) => {
      for (const exit of ["Deno.exit(5)", "process.exit(5)"]) {
        const code = `const w = ${child(`onmessage = () => { self.close = () => postMessage("overridden");
            postMessage("before"); ${exit}; postMessage("after"); }`)};
          w.onmessage = (e) => console.log(e.data); w.onerror = (e) => console.log(e.message); w.postMessage(0);`;
        const { code: status, lines, err } = await t.program(code);
        equal([status, lines], [0, ["before"]], err);
      }
    },
  ],
  [
    78,
    "an overridden dispatchEvent in the worker does not break messages",
    async (t) => {
      const { next, ask } = t.start(`addEventListener("message", () => postMessage("pong"));
        const context = new EventTarget();
        Object.defineProperty(globalThis, "dispatchEvent", { value: context.dispatchEvent.bind(context),
          writable: true, enumerable: true, configurable: true });
        postMessage("start");`);
      equal([await next(), await ask("ping")], ["start", "pong"]);
    },
  ],
  [
    79,
    "timers run in the order of their times, and not when cancelled",
    async (t) => {
      const { next } =
        t.start(`const seen = []; const at = (ms, n) => setTimeout(() => seen.push(n), ms);
        at(10, 1); at(40, 2); at(70, 3); at(75, 6); at(45, 5); at(15, 4);
        const cancelled = [at(20, "c1"), at(50, "c2")]; cancelled.forEach(clearTimeout);
        setTimeout(() => postMessage(seen), 150)`);
      equal(await next(), [1, 4, 2, 5, 3, 6]);
    },
  ],
  [
    80,
    "shape: length 1, methods on the prototype, tag on the instance",
    async (t) => {
      const { worker } = t.start(echo);
      equal([Worker.length, Worker.name, String(worker)], [1, "Worker", "[object Worker]"]);
      for (const name of ["postMessage", "terminate"]) {
        equal(typeof Object.getOwnPropertyDescriptor(Worker.prototype, name).value, "function");
      }
      for (const name of ["onmessage", "onmessageerror", "onerror"]) {
        ok(name in Worker.prototype && !Object.hasOwn(worker, name), `${name} is on the prototype`);
      }
      ok(Object.hasOwn(worker, Symbol.toStringTag), "the tag is the instance's own");
      equal(Worker.prototype.postMessage.length, 1);
    },
  ],
];
