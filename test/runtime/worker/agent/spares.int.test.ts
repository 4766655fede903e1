/** @module Warm spares: real workers that wait for an agent. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { noPermissions, type PermissionSet } from "../../../../machines/permissions.ts";
import { type OpenWorker, openWorker } from "../../../../runtime/worker/agent/open-worker.ts";
import { createSpares, type Spares, type Wanted } from "../../../../runtime/worker/agent/spares.ts";
import { callOf, recordHooks, startTestPool, testAgentUrl } from "../../../support/agent-pool.ts";
import { crowd } from "../../../support/agents/crowd.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { soon } from "../../../support/soon.ts";

const limitMs = 60_000;
const rights: Wanted = {
  isolation: "thread",
  permissions: noPermissions,
  heapMb: 256,
  env: {},
  moduleUrl: testAgentUrl("crowd"),
};
const others: Wanted = { ...rights, heapMb: 300 };
const opened: OpenWorker[] = [];
const printed: unknown[] = [];
let spares: Spares | undefined;

/** Spares use no port before they are an agent. */
const unused = (): never => expect.unreachable();
const ports = {
  bus: { publish: unused, request: unused },
  coordination: {
    createGroup: unused,
    createBarrier: unused,
    arriveAtBarrier: unused,
    reserve: unused,
    release: unused,
    vote: unused,
  },
  log: {
    debug: unused,
    info: (_message: string, fields: { text?: unknown } = {}) => printed.push(fields.text),
    warn: unused,
    error: unused,
  },
};

function create(limit: number): Spares {
  spares = createSpares(limit, (wanted) => {
    const worker = openWorker(wanted, ports);
    opened.push(worker);
    return worker;
  });
  return spares;
}

const folder = mkdtempSync(join(tmpdir(), "spectra-spares-"));
let modules = 0;

/** As a user would write it: outside of this package. */
function moduleWith(code: string): string {
  modules += 1;
  const file = join(folder, `module-${modules}.mjs`);
  writeFileSync(file, code);
  return pathToFileURL(file).href;
}

function readable(...urls: string[]): PermissionSet {
  const read = urls.map((url) => fileURLToPath(url));
  return { ...noPermissions, read: { granted: read, denied: [] } };
}

beforeAll(ensureBuilt, 180_000);

afterAll(() => rmSync(folder, { recursive: true }));

afterEach(async () => {
  await spares?.close();
  await Promise.all(opened.splice(0).map((one) => one.death.terminate(ended)));
});

const ended = { why: "the test is over", code: "AGENT_STOPPED" } as const;

test("a spare is made for the rights that were wanted, taken once, and made again", async () => {
  const own = create(1);
  expect(own.take(rights)).toBeUndefined();
  await soon(() => own.has(rights), limitMs).toBe(true);
  expect(own.take(others)).toBeUndefined();
  const taken = own.take(rights);
  expect(taken).toBe(opened[0]);
  expect(own.take(rights)).toBeUndefined();
  await soon(() => own.has(rights), limitMs).toBe(true);
  expect(own.take(rights)).not.toBe(taken);
});

test("with no room for both, the rights that were wanted last have the spare", async () => {
  const own = create(1);
  own.want(rights);
  await soon(() => own.count(), limitMs).toBe(1);
  own.want(others);
  await soon(() => own.has(others), limitMs).toBe(true);
  expect(own.has(rights)).toBe(false);
  expect(own.count()).toBe(1);
  const [first] = opened;
  expect(await first?.death.ended).toMatchObject({
    exit: { error: { cause: { code: "AGENT_STOPPED" } } },
  });
});

test("a spare that dies is not there any more", async () => {
  const own = create(1);
  own.want(rights);
  await soon(() => own.count(), limitMs).toBe(1);
  await opened[0]?.death.terminate(ended);
  await soon(() => own.count(), limitMs).toBe(0);
});

test("after close no spare is left, and none is made", async () => {
  const own = create(2);
  own.want(rights);
  own.want(others);
  await soon(() => own.count(), limitMs).toBe(2);
  await own.close();
  expect(own.count()).toBe(0);
  const ends = await Promise.all(opened.map(({ death }) => death.ended));
  expect(ends).toHaveLength(2);
  own.want(rights);
  expect(own.take(rights)).toBeUndefined();
  expect(opened).toHaveLength(2);
});

test("a spare has loaded the module before anybody needs it", async () => {
  const own = create(1);
  const moduleUrl = moduleWith("console.log('loaded');");
  own.want({ ...rights, permissions: readable(moduleUrl), moduleUrl });
  await soon(() => printed, limitMs).toEqual(["loaded"]);
});

test("a spare with a user's module is only for agents of that module; built-in ones share", async () => {
  const own = create(1);
  const first = moduleWith("export const one = 1;");
  const second = moduleWith("export const two = 2;");
  const permissions = readable(first, second);
  own.want({ ...rights, permissions, moduleUrl: first });
  await soon(() => own.count(), limitMs).toBe(1);
  expect(own.has({ ...rights, permissions, moduleUrl: second })).toBe(false);
  expect(own.has({ ...rights, permissions, moduleUrl: first })).toBe(true);
  own.want(rights);
  await soon(() => own.has(rights), limitMs).toBe(true);
  expect(own.has({ ...rights, moduleUrl: testAgentUrl("probe") })).toBe(true);
});

test("a module that cannot be loaded costs its agent one spare, the next has not tried", async () => {
  const own = create(1);
  const moduleUrl = moduleWith("throw new Error('not today');");
  own.want({ ...rights, permissions: readable(moduleUrl), moduleUrl });
  await soon(() => opened.length, limitMs).toBe(2);
  const [tried] = opened;
  await tried?.death.ended;
  const taken = own.take({ ...rights, permissions: readable(moduleUrl), moduleUrl });
  expect(taken).toBe(opened[1]);
  await expect(taken?.calls.api.preload(moduleUrl)).rejects.toThrow("not today");
});

test("pools that share their spares leave them to each other, and to whoever closes them", async () => {
  const shared = create(1);
  const start = (index: number) =>
    startTestPool("postgres://nobody@127.0.0.1:1/none", {
      definitions: crowd.slice(index, index + 1),
      moduleUrl: () => testAgentUrl("crowd"),
      spares: shared,
    });
  const [first, second] = [await start(0), await start(1)];
  await Promise.all([first.agents.allHealthy, second.agents.allHealthy]);
  await soon(() => shared.count(), limitMs).toBe(1);
  await first.agents.stop();
  expect(shared.count()).toBe(1);
  await second.agents.killThread("CROWD-002");
  const adopted = () =>
    second.logged.filter(({ message, fields }) => message === "agent.started" && fields["spare"]);
  await soon(() => adopted().length, limitMs).toBe(1);
  await second.agents.stop();
}, 120_000);

test("an agent whose thread dies goes on in a spare", async () => {
  const { agents, logged } = await startTestPool("postgres://nobody@127.0.0.1:1/none", {
    definitions: crowd.slice(0, 2),
    moduleUrl: () => testAgentUrl("crowd"),
    spares: 1,
  });
  await agents.allHealthy;
  const agent = "CROWD-001";
  const adopted = () =>
    logged.filter(({ message, fields }) => message === "agent.started" && fields["spare"] === true);
  const killAndCall = async (n: number): Promise<void> => {
    await agents.killThread(agent);
    const outcome = await agents.run(callOf("echo", { n }, { agent }), recordHooks());
    expect(outcome).toEqual({ type: "succeeded", output: { n } });
  };
  // Which of the kills finds a spare is a matter of time; that one does is not.
  let n = 0;
  await soon(async () => {
    n += 1;
    await killAndCall(n);
    return adopted().length;
  }, limitMs).toBeGreaterThan(0);
  expect(adopted()[0]?.fields).toMatchObject({ agent });
  expect(agents.state("CROWD-002")?.restarts).toBe(0);
  await agents.stop();
});
