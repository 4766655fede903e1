import { MessageChannel, type MessagePort } from "node:worker_threads";
import { createEndpoint, proxy, releaseProxy, wrap } from "comlink";
import { afterEach, expect, test } from "vitest";
import { AgentError, type ErrorRecord } from "../../../../machines/error-code.ts";
import { bounded, type Calls, openCalls } from "../../../../runtime/worker/call/calls.ts";

interface Api {
  add(a: number, b: number): Promise<number>;
  fail(): Promise<void>;
  hang(): Promise<void>;
  give(): Promise<unknown>;
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

/** A caller and an offered method table, over a real port. */
function connect(): { calls: Calls<Api>; port: MessagePort } {
  const { port1, port2 } = new MessageChannel();
  const calls = openCalls<Api>(port1, {});
  open.push(calls, openCalls(port2, methods));
  return { calls, port: port1 };
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

test("an answer that is a proxy is refused on arrival", async () => {
  await expect(connect().calls.api.give()).rejects.toMatchObject({ code: "NOT_CAPABLE" });
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
