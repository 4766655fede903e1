/**
 * What the process tiers promise beyond conformance: faults, ends, order, bounds and ports.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { MessageChannel, type Transferable } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import { allPermissions, childPermissions } from "../../../../../machines/permissions.ts";
import { isPidInUse } from "../../../../../native/process-identity.ts";
import type { CarrierOptions } from "../../../../../runtime/worker/web/carrier.ts";
import { openDeno } from "../../../../../runtime/worker/web/carriers/deno-carrier.ts";
import { maximumBacklogBytes } from "../../../../../runtime/worker/web/carriers/host-protocol.ts";
import { openProcess } from "../../../../../runtime/worker/web/carriers/process-carrier.ts";
import { type CarrierProbe, probeCarrier } from "../../../../support/carrier-probe.ts";
import { soon } from "../../../../support/soon.ts";

const tiers = [
  { name: "process", open: openProcess, exit: "process.exit" },
  { name: "deno", open: openDeno, exit: "Deno.exit" },
] as const;

const echo = "onmessage = ({ data }) => postMessage(data);";
const dist = new URL("../../../../../dist/", import.meta.url).href;

describe.each(tiers)("$name", ({ name, open, exit }) => {
  const probes: CarrierProbe[] = [];
  const start = (code: string, options?: Partial<CarrierOptions>): CarrierProbe => {
    const probe = probeCarrier(open, code, options);
    probes.push(probe);
    return probe;
  };
  afterEach(async () => {
    const all = probes.splice(0);
    await Promise.all(all.map((probe) => probe.carrier.terminate()));
    for (const { carrier } of all) expect(isPidInUse(carrier.id)).toBe(false);
  });

  test("runs in another process, with the environment that it was given and no other", async () => {
    const code =
      name === "deno"
        ? `postMessage({ pid: Deno.pid, a: Deno.env.get("GIVEN"), home: Deno.env.get("HOME") ?? null })`
        : `postMessage({ pid: process.pid, a: process.env.GIVEN, home: process.env.HOME ?? null })`;
    const probe = start(code, { permissions: allPermissions, env: { GIVEN: "yes" } });
    expect(await probe.next()).toEqual({ pid: probe.carrier.id, a: "yes", home: null });
    expect(probe.carrier.id).not.toBe(process.pid);
  });

  test("an uncaught error is a fault with its place, then the exit", async () => {
    const probe = start(`onmessage = () => { throw new RangeError("too far") };`);
    probe.post(0);
    expect(await probe.exited).toBe(1);
    expect(probe.told).toEqual(["fault", "exit"]);
    expect(probe.faults[0]).toMatchObject({
      kind: "uncaught",
      message: "Uncaught RangeError: too far",
      lineno: 1,
      error: { name: "RangeError", message: "too far" },
    });
  });

  test("an unhandled rejection and a module that cannot be loaded are faults of their kinds", async () => {
    const rejecting = start(`Promise.reject(new Error("no"));`);
    const missing = start("", { url: "file:///nowhere/at-all.mjs" });
    expect([await rejecting.exited, await missing.exited]).toEqual([1, 1]);
    expect(rejecting.faults[0]).toMatchObject({
      kind: "unhandled-rejection",
      message: "Uncaught (in promise) Error: no",
    });
    expect(missing.faults[0]).toMatchObject({ kind: "load", filename: "" });
    expect(missing.faults[0]?.message).toContain("/nowhere/at-all.mjs");
  });

  test("what the worker posted before it ended itself arrives, and its code is told", async () => {
    const code = `for (let n = 0; n < 500; n++) postMessage(n); ${exit}(7); postMessage("never");`;
    const probe = start(code, { permissions: allPermissions });
    expect(await probe.exited).toBe(7);
    expect(probe.messages).toEqual(Array.from({ length: 500 }, (_, n) => n));
    expect(probe.faults).toEqual([]);
  });

  test("out of memory is recognised", async () => {
    const probe = start("const all = []; for (;;) all.push(new Array(1000).fill(Math.random()));", {
      heapLimitMb: 64,
    });
    await probe.exited;
    expect(probe.told).toEqual(["fault", "exit"]);
    expect(probe.faults[0]).toMatchObject({
      kind: "out-of-memory",
      error: { code: "ERR_WORKER_OUT_OF_MEMORY" },
    });
  });

  test("a process that is killed from outside is an exit by that signal, and closes its ports", async () => {
    const { port1, port2 } = new MessageChannel();
    const closed = new Promise((resolve) => port1.once("close", resolve));
    const probe = start(`onmessage = () => postMessage("up");`);
    probe.post({ port2 }, [port2]);
    expect(await probe.next()).toBe("up");
    process.kill(probe.carrier.id, "SIGKILL");
    expect(await probe.exited).toBe(137);
    await closed;
    expect(probe.told).toEqual(["message", "exit"]);
    // Nobody hears it, and nobody fails.
    probe.post("late");
    await probe.carrier.terminate();
  });

  test("a spinning worker shows by its figures, and terminate ends it for sure", async () => {
    const probe = start(
      `postMessage("up"); onmessage = () => { postMessage("spins"); for (;;); };`,
    );
    expect(await probe.next()).toBe("up");
    await soon(() => probe.carrier.figures().turns).toBeGreaterThan(2);
    expect(probe.carrier.figures().heapBytes).toBeGreaterThan(100_000);
    probe.post(0);
    expect(await probe.next()).toBe("spins");
    await probe.carrier.terminate();
    expect(isPidInUse(probe.carrier.id)).toBe(false);
    expect(probe.told.at(-1)).toBe("exit");
    expect(probe.faults).toEqual([]);
  });

  test("a worker ends with its parent, however busy it is", async () => {
    const opener = name === "deno" ? "deno-carrier" : "process-carrier";
    const main = `
      const { ${open.name} } = await import("${dist}runtime/worker/web/carriers/${opener}.js");
      const { noPermissions } = await import("${dist}machines/permissions.js");
      const carrier = ${open.name}(
        { url: "data:text/javascript,postMessage(0);for(;;);", name: "", permissions: noPermissions, env: {} },
        { message: () => console.log(carrier.id), fault: console.error, messageerror: console.error, exit() {} });`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", main], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const pid = await new Promise<number>((resolve) => {
      createInterface({ input: parent.stdout }).once("line", (line) => resolve(Number(line)));
    });
    expect(isPidInUse(pid)).toBe(true);
    parent.kill("SIGKILL");
    await soon(() => isPidInUse(pid)).toBe(false);
  });

  test("10,000 messages go there and back in order, with large ones between them", async () => {
    const count = 10_000;
    const probe = start(`let next = 0;
      onmessage = ({ data }) => {
        if (data.n !== next++) throw new Error("saw " + data.n + ", not " + (next - 1));
        postMessage({ n: data.n, bytes: data.bytes });
      };`);
    const large = new Uint8Array(200_000).map((_, index) => index % 251);
    for (let n = 0; n < count; n += 1) {
      probe.post({ n, bytes: n % 100 === 0 ? large : undefined });
    }
    await soon(() => probe.messages.length, 120_000).toBe(count);
    const seen = probe.messages as readonly { n: number; bytes?: Uint8Array }[];
    expect(seen.every(({ n }, index) => n === index)).toBe(true);
    expect(seen.filter(({ bytes }) => bytes !== undefined)).toHaveLength(100);
    expect(seen[500]?.bytes).toEqual(large);
  }, 180_000);

  test("what waits for a worker that does not listen is bounded, and refused loudly", async () => {
    const probe = start(`postMessage("up"); onmessage = () => { for (;;); };`);
    expect(await probe.next()).toBe("up");
    const chunk = new Uint8Array(8 * 1_048_576);
    let sent = 0;
    const flood = (): void => {
      // The window, the backlog and one more each way is all that can be on its way.
      for (; sent < 4 * maximumBacklogBytes; sent += chunk.length) probe.post(chunk);
    };
    expect(flood).toThrow(expect.objectContaining({ code: "WORKER_BACKLOG_FULL" }));
    expect(sent).toBeLessThanOrEqual(1.5 * maximumBacklogBytes);
    expect(probe.told).toEqual(["message"]);
  });

  test("ports cross both ways, in any place of a value, and through ports", async () => {
    const probe = start(`onmessage = ({ data, ports: [port] }) => {
        const { port1, port2 } = new MessageChannel();
        port.onmessage = ({ data }) => { port.postMessage({ twice: data * 2 }); };
        port1.onmessage = ({ data, ports: [inner] }) => { inner.postMessage("through " + data); };
        postMessage({ same: data.deep.get("port") === port, port2 }, [port2]);
      };`);
    const { port1, port2 } = new MessageChannel();
    probe.post({ deep: new Map([["port", port2]]) }, [port2]);
    const answer = (await probe.next()) as {
      data: { same: boolean; port2: MessagePort };
      ports: readonly MessagePort[];
    };
    expect(answer.data.same).toBe(true);
    expect(answer.ports).toEqual([answer.data.port2]);
    const heard: unknown[] = [];
    port1.on("message", (data) => heard.push(data));
    for (let n = 0; n < 100; n += 1) port1.postMessage(n);
    await soon(() => heard.length).toBe(100);
    expect(heard).toEqual(Array.from({ length: 100 }, (_, n) => ({ twice: n * 2 })));
    const inner = new MessageChannel();
    answer.data.port2.postMessage("all", [inner.port2 as unknown as globalThis.Transferable]);
    expect(await new Promise((resolve) => inner.port1.once("message", resolve))).toBe(
      "through all",
    );
    port1.close();
    inner.port1.close();
  });

  test("a port that the worker closes is closed here", async () => {
    const probe = start(
      "onmessage = ({ ports: [port] }) => { port.postMessage(1); port.close(); };",
    );
    const { port1, port2 } = new MessageChannel();
    const heard: unknown[] = [];
    const closed = new Promise((resolve) => port1.once("close", resolve));
    port1.on("message", (data) => heard.push(data));
    probe.post(undefined, [port2]);
    await closed;
    expect(heard).toEqual([1]);
  });

  test("a value that cannot cross is refused at once, and a transferred buffer is gone here", async () => {
    const probe = start(echo);
    for (const bad of [() => 1, new SharedArrayBuffer(8)]) {
      expect(() => probe.post({ bad })).toThrow(
        expect.objectContaining({ name: "DataCloneError" }),
      );
    }
    const buffer = new ArrayBuffer(1_000);
    probe.post(buffer, [buffer as unknown as Transferable]);
    expect(buffer.byteLength).toBe(0);
    expect(((await probe.next()) as ArrayBuffer).byteLength).toBe(1_000);
  });

  test("the process itself refuses what is not granted", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tier-"));
    const file = (name: string): string => {
      writeFileSync(join(folder, name), name);
      return join(folder, name);
    };
    const granted = file("granted");
    const code = `import * as fs from "node:fs"; import { execFileSync } from "node:child_process";
      const tried = (work) => { try { return work(); } catch (error) { return error.code ?? error.name; } };
      postMessage({
        granted: tried(() => fs.readFileSync(${JSON.stringify(granted)}, "utf8")),
        other: tried(() => fs.readFileSync(${JSON.stringify(file("other"))}, "utf8")),
        environment: tried(() => fs.readFileSync("/proc/self/environ", "utf8")),
        folder: tried(() => fs.readdirSync(".")),
        write: tried(() => fs.writeFileSync(${JSON.stringify(granted)}, "x")),
        run: tried(() => execFileSync("id")),
      });`;
    const probe = start(code, {
      permissions: childPermissions(allPermissions, { read: [granted] }),
    });
    const seen = (await probe.next()) as Record<string, string>;
    const { granted: read, ...refused } = seen;
    expect(read).toBe("granted");
    for (const [what, how] of Object.entries(refused)) {
      expect(how, what).toMatch(/^(?:ERR_ACCESS_DENIED|NotCapable|NOT_CAPABLE|EACCES)$/);
    }
  });

  test("what it prints goes to who asked for it", async () => {
    const probe = start(`console.log("to out"); console.error("to err"); postMessage(0);`);
    await probe.next();
    await soon(() => probe.printed().includes("to out") && probe.printed().includes("to err")).toBe(
      true,
    );
  });

  test("20 workers come and go, and leave no handle behind", async () => {
    const before = process.getActiveResourcesInfo().length;
    for (let round = 0; round < 5; round += 1) {
      const crowd = Array.from({ length: 4 }, () => start(echo));
      for (const probe of crowd) probe.post(round);
      for (const probe of crowd) expect(await probe.next()).toBe(round);
      await Promise.all(crowd.map((probe) => probe.carrier.terminate()));
    }
    await soon(() => process.getActiveResourcesInfo().length <= before).toBe(true);
  }, 120_000);
});
