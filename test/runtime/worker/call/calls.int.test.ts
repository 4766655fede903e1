import { MessageChannel, type MessagePort } from "node:worker_threads";
import { createEndpoint, proxy, releaseProxy, wrap } from "comlink";
import * as fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { AgentError, type ErrorRecord } from "../../../../machines/error-code.ts";
import { bounded, type Calls, openCalls } from "../../../../runtime/worker/call/calls.ts";
import { type CallScope, hardenPort } from "../../../../runtime/worker/call/hardened-endpoint.ts";

interface Api {
  add(a: number, b: number): Promise<number>;
  fail(): Promise<void>;
  hang(): Promise<void>;
  give(): Promise<unknown>;
  giveFunction(): Promise<unknown>;
  failAs(name: string): Promise<void>;
  listen(): Promise<void>;
}

const methods = {
  add: (a: number, b: number) => a + b,
  fail: () => {
    throw new AgentError("TOLD_TO", "Cannot add: told to fail", {
      retryable: true,
      cause: new RangeError("deep", { cause: "deeper" }),
    });
  },
  hang: () => new Promise(() => undefined),
  give: () => proxy({ secret: () => 1 }),
  giveFunction: () => ({ deep: [() => 1] }),
  failAs: (name: string) => {
    throw Object.assign(new Error("told to"), { name });
  },
};

const death: ErrorRecord = {
  name: "AgentError",
  message: "Cannot go on: dead",
  code: "AGENT_DIED",
  retryable: true,
};

const open: { die(error: ErrorRecord): void }[] = [];
afterEach(() => {
  for (const calls of open.splice(0)) calls.die(death);
});

/** A caller and an offered method table, over a real port. `heard`: codes that aborted `listen`. */
function connect(): {
  calls: Calls<Api>;
  other: Calls<unknown>;
  port: MessagePort;
  heard: unknown[];
} {
  const { port1, port2 } = new MessageChannel();
  const heard: unknown[] = [];
  const calls = openCalls<Api>(port1, {});
  const other = openCalls<unknown>(port2, {
    ...methods,
    listen(this: CallScope) {
      const { signal } = this;
      return new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => {
          heard.push(signal.reason.code);
          resolve();
        });
      });
    },
  });
  open.push(calls, other);
  return { calls, other, port: port1, heard };
}

/** Sends a message as a hostile thread could, and returns the answer. */
async function send(message: object): Promise<unknown> {
  const { port1, port2 } = new MessageChannel();
  open.push(openCalls(port2, methods));
  const answer = new Promise((resolve) => port1.once("message", resolve));
  port1.postMessage({ id: "1", ...message });
  const received = await answer;
  port1.close();
  return received;
}

async function refuses(message: object): Promise<void> {
  expect(await send(message)).toMatchObject({ name: "throw", value: { code: "NOT_CAPABLE" } });
}

const callTypes = ["GET", "SET", "APPLY", "CONSTRUCT", "ENDPOINT", "RELEASE"];
const raw = (value: unknown): object => ({ type: "RAW", value });

test("openCalls() calls a listed method", async () => {
  const { calls } = connect();
  expect(await calls.api.add(1, 2)).toBe(3);
  expect(calls.pending()).toBe(0);
});

test("openCalls() keeps name, code, retryable, stack and cause of an error", async () => {
  const { calls } = connect();
  const error: unknown = await calls.api.fail().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({
    name: "AgentError",
    code: "TOLD_TO",
    retryable: true,
    message: "Cannot add: told to fail",
    cause: { name: "RangeError", message: "deep", cause: { message: "deeper" } },
  });
  expect((error as Error).stack).toContain("calls.int.test");
});

test("the endpoint refuses every path but a listed method", async () => {
  for (const path of [
    [],
    ["constructor"],
    ["__proto__"],
    ["add", "constructor"],
    ["add", "call"],
    ["nope"],
  ]) {
    await refuses({ type: "APPLY", path, argumentList: [] });
  }
});

test("the endpoint refuses GET, SET, CONSTRUCT, ENDPOINT and RELEASE", async () => {
  for (const type of ["GET", "SET", "CONSTRUCT", "ENDPOINT", "RELEASE"]) {
    await refuses({ type, path: ["add"], argumentList: [], value: raw(1) });
  }
});

test("the endpoint refuses arguments that would run a transfer handler", async () => {
  const thrown = { type: "HANDLER", name: "throw", value: death };
  await refuses({ type: "APPLY", path: ["add"], argumentList: [raw(1), thrown] });
  await refuses({ type: "APPLY", path: ["add"], argumentList: "none" });
});

test("messages that are no calls are ignored", async () => {
  const { calls, port } = connect();
  for (const junk of [null, 1, "x", {}, { id: 5 }, { id: "x" }, { id: "x", type: "RAW" }]) {
    port.postMessage(junk);
  }
  expect(await calls.api.add(2, 2)).toBe(4);
});

test("a result that cannot be cloned, or is a proxy, is an error that names its method", async () => {
  const { calls, other } = connect();
  for (const call of [calls.api.give(), calls.api.giveFunction()]) {
    await expect(call).rejects.toMatchObject({
      code: "RESULT_NOT_CLONEABLE",
      retryable: false,
      message: expect.stringMatching(/^Cannot return the result of "give(Function)?": /),
    });
  }
  expect(calls.pending()).toBe(0);
  expect(other.serving()).toBe(0);
});

test("an answer that is no plain value is refused on arrival", async () => {
  const { port1, port2 } = new MessageChannel();
  const calls = openCalls<Api>(port1, {});
  open.push(calls);
  port2.on("message", ({ id }: { id: string }) => {
    port2.postMessage({ id, type: "HANDLER", name: "proxy", value: 1 });
  });
  await expect(calls.api.hang()).rejects.toMatchObject({ code: "NOT_CAPABLE" });
});

test("an error of the other side that is no record, or has causes without end, stays an error", async () => {
  const { port1, port2 } = new MessageChannel();
  const calls = openCalls<Api>(port1, {});
  open.push(calls);
  const endless: Record<string, unknown> = { name: "Endless", message: "again" };
  endless["cause"] = endless;
  const sent = [null, 7, { name: 1 }, endless];
  port2.on("message", ({ id }: { id: string }) => {
    port2.postMessage({ id, type: "HANDLER", name: "throw", value: sent.shift() });
  });
  for (const message of ["null", "7", '{"name":1}', "again"]) {
    const error: unknown = await calls.api.hang().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ message });
  }
});

test("an error of a known class is one again", async () => {
  const { calls } = connect();
  const error = await calls.api.failAs("TypeError").catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(TypeError);
  expect(await calls.api.fail().catch((thrown: unknown) => thrown)).toBeInstanceOf(AgentError);
});

test("a call ends at its deadline, and its method hears of it", async () => {
  const { calls, other, heard } = connect();
  const late = calls.within({ timeoutMs: 20 }).listen();
  await expect(late).rejects.toMatchObject({ code: "CALL_TIMEOUT", retryable: true });
  await expect.poll(() => heard).toEqual(["ABORTED"]);
  expect(calls.pending()).toBe(0);
  expect(other.serving()).toBe(0);
  expect(await calls.api.add(1, 1)).toBe(2);
});

test("a call ends with its signal, at once where it is aborted already", async () => {
  const { calls, other, heard } = connect();
  const controller = new AbortController();
  const limits = { timeoutMs: 60_000, signal: controller.signal };
  const aborted = calls.within(limits).listen();
  await expect.poll(() => other.serving()).toBe(1);
  controller.abort(new Error("enough"));
  await expect(aborted).rejects.toMatchObject({ code: "ABORTED", cause: { message: "enough" } });
  await expect.poll(() => heard).toEqual(["ABORTED"]);
  await expect(calls.within(limits).add(1, 1)).rejects.toMatchObject({ code: "ABORTED" });
  expect(calls.pending()).toBe(0);
});

test("die() aborts what is being served; a port whose other end closes dies by itself", async () => {
  const { calls, other, heard } = connect();
  const pending = calls.api.listen();
  await expect.poll(() => other.serving()).toBe(1);
  other.die(death);
  await expect(pending).rejects.toMatchObject({ code: "PORT_CLOSED", retryable: true });
  expect(heard).toEqual(["ABORTED"]);
  await expect(calls.api.add(1, 1)).rejects.toMatchObject({ code: "PORT_CLOSED" });
});

test("an id that is being served cannot be used again", async () => {
  const { port1, port2 } = new MessageChannel();
  open.push(openCalls(port2, methods));
  const answers: unknown[] = [];
  port1.on("message", (answer: unknown) => answers.push(answer));
  const call = { id: "7", type: "APPLY", path: ["hang"], argumentList: [] };
  port1.postMessage(call);
  port1.postMessage(call);
  await expect.poll(() => answers).toMatchObject([{ id: "7", value: { code: "NOT_CAPABLE" } }]);
  port1.close();
});

test("whatever message arrives, only a listed method with plain arguments runs", async () => {
  const names = ["add", "constructor", "__proto__", "prototype", "call", "toString", "then", ""];
  const part = fc.oneof(fc.constantFrom(...names), fc.integer(), fc.constant(null));
  const value = fc.oneof(
    fc.constant({ type: "RAW", value: 1 }),
    fc.constant({ type: "HANDLER", name: "proxy", value: null }),
    fc.constant({ type: "HANDLER", name: "throw", value: death }),
    fc.jsonValue(),
  );
  const message = fc.record(
    {
      type: fc.oneof(fc.constantFrom(...callTypes, "CANCEL"), fc.jsonValue()),
      path: fc.oneof(fc.constant(["add"]), fc.array(part, { maxLength: 3 }), fc.jsonValue()),
      argumentList: fc.oneof(fc.array(value, { maxLength: 1 }), fc.jsonValue()),
      value,
      name: fc.constantFrom("throw", "proxy"),
    },
    { requiredKeys: ["type"] },
  );
  const ran: unknown[][] = [];
  const { port1, port2 } = new MessageChannel();
  open.push(openCalls(port2, { add: (...args: unknown[]) => ran.push(args) }));
  const answers = new Map<string, { type: string; name?: string; value: unknown }>();
  port1.on("message", (answer) => answers.set(answer.id, answer));
  const sent = fc.sample(message, 2_000);
  sent.forEach((one, index) => port1.postMessage({ ...one, id: String(index) }));
  port1.postMessage({ id: "last", type: "APPLY", path: ["add"], argumentList: [] });
  await expect.poll(() => answers.has("last")).toBe(true);
  const isRaw = (one: unknown) =>
    typeof one === "object" && one !== null && "type" in one && one.type === "RAW";
  const legal = sent.filter(
    ({ type, path, argumentList }) =>
      type === "APPLY" &&
      JSON.stringify(path) === '["add"]' &&
      Array.isArray(argumentList) &&
      argumentList.every(isRaw),
  );
  expect(ran).toHaveLength(legal.length + 1);
  expect(legal.length).toBeGreaterThan(0);
  const refusals = [...answers.values()].filter(({ type }) => type === "HANDLER");
  const calls = sent.filter(({ type }) => callTypes.includes(type as string));
  expect(refusals).toHaveLength(calls.length - legal.length);
  expect(refusals.length).toBeGreaterThan(100);
  for (const refusal of refusals) {
    expect(refusal).toMatchObject({ name: "throw", value: { code: "NOT_CAPABLE" } });
  }
  expect(Object.keys(Object.prototype)).toEqual([]);
  port1.close();
});

test("a proxy that is garbage collected sends nothing", async () => {
  const { port1, port2 } = new MessageChannel();
  const received: unknown[] = [];
  port2.on("message", (message: unknown) => received.push(message));
  const hardened = hardenPort(port1, []);
  const released = wrap<Api>(hardened.endpoint);
  released[releaseProxy]();
  port1.postMessage("last");
  await expect.poll(() => received).toEqual(["last"]);
  expect(hardened.pending()).toBe(0);
  hardened.die(death);
});

test("releasing or enlarging a proxy changes nothing for others", async () => {
  const { port1, port2 } = new MessageChannel();
  open.push(openCalls(port2, methods));
  const bare = wrap<Api>({
    postMessage: (message: unknown, transfer?: Transferable[]) =>
      port1.postMessage(message, (transfer ?? []) as never),
    addEventListener: (_type, listener) =>
      port1.on("message", (data: unknown) => (listener as (e: unknown) => void)({ data })),
    removeEventListener: () => undefined,
  });
  await expect(bare[createEndpoint]()).rejects.toMatchObject({ code: "NOT_CAPABLE" });
  const second = wrap<Api>({
    postMessage: (message: unknown) => port1.postMessage(message),
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
  });
  second[releaseProxy]();
  expect(await bare.add(3, 4)).toBe(7);
  port1.close();
});

test("die() rejects what is pending and every later call, once", async () => {
  const { calls } = connect();
  const pending = [calls.api.hang(), calls.api.hang()];
  expect(calls.pending()).toBe(2);
  calls.die(death);
  calls.die({ ...death, code: "OTHER" });
  for (const call of pending) await expect(call).rejects.toMatchObject({ code: "AGENT_DIED" });
  await expect(calls.api.add(1, 1)).rejects.toMatchObject({ code: "AGENT_DIED" });
  expect(calls.pending()).toBe(0);
});

test("an argument that cannot be cloned rejects its call and leaves nothing pending", async () => {
  const { calls } = connect();
  const broken = calls.api.add(1, (() => 2) as unknown as number);
  await expect(broken).rejects.toMatchObject({ name: "DataCloneError" });
  expect(calls.pending()).toBe(0);
  expect(await calls.api.add(1, 2)).toBe(3);
});

test("bounded() ends by deadline or by signal, whichever is first", async () => {
  const never = new Promise<never>(() => undefined);
  await expect(bounded(never, { what: "it", timeoutMs: 5 })).rejects.toMatchObject({
    code: "CALL_TIMEOUT",
    message: "Cannot wait for it: not done after 5 ms",
  });
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(bounded(never, { what: "it", timeoutMs: 5_000, signal })).rejects.toMatchObject({
    code: "ABORTED",
    cause: { message: "enough" },
  });
  expect(await bounded(Promise.resolve(1), { what: "it", timeoutMs: 5_000 })).toBe(1);
});
