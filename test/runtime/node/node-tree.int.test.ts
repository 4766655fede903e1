/** A real node loses its database server: in place when it can come back, with all above it when it cannot. */

import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type {
  IncidentView,
  Page,
  SystemStatus,
  TreeView,
  WorkflowView,
} from "../../../runtime/system.ts";
import { soon } from "../../support/soon.ts";
import { type SupervisorProcess, startSupervisor } from "../../support/supervisor.ts";

/** A node that stops and starts everything, on a busy machine. */
const wholeNodeMs = 120_000;

let node: SupervisorProcess;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spectra-tree-"));
  node = await startSupervisor(["--data-dir", join(folder, "data")]);
}, wholeNodeMs);
afterAll(async () => {
  node?.kill("SIGTERM");
  await node?.exited;
  await rm(folder, { recursive: true, force: true });
}, wholeNodeMs);

interface Postmaster {
  readonly pid: number;
  readonly cluster: string;
}

/** The embedded server of this node: a process below it that was started with `-D`. */
function postmaster(): Postmaster | undefined {
  const { stdout } = spawnSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" });
  const rows = stdout.split("\n").flatMap((line) => {
    const [, pid, parent, args] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return args === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), args }];
  });
  const below = new Set([node.pid]);
  for (let found = -1; found !== below.size; ) {
    found = below.size;
    for (const { parent, pid } of rows) if (below.has(parent)) below.add(pid);
  }
  for (const { args, pid } of rows) {
    const cluster = /\/postgres -D (\S+)/.exec(args)?.[1];
    if (below.has(pid) && cluster !== undefined) return { pid, cluster };
  }
  return undefined;
}

function required(found: Postmaster | undefined): Postmaster {
  if (found === undefined) throw new Error(`No server below the node:\n${node.output()}`);
  return found;
}

async function child(name: string): Promise<TreeView | undefined> {
  const tree = await node.get<TreeView>("/system/tree");
  return tree.children.find(({ id }) => id === name);
}

test("every box of the node is a child of the one tree", async () => {
  const tree = await node.get<TreeView>("/system/tree");
  expect(tree).toMatchObject({ address: "/root", strategy: "rest_for_one", status: "running" });
  expect(tree.children.map(({ address }) => address)).toEqual([
    "/root/infrastructure",
    "/root/bus",
    "/root/agents",
    "/root/actors",
    "/root/monitor",
    "/root/workflows",
    "/root/schedules",
    "/root/gateway",
  ]);
  const agents = await child("agents");
  expect(agents?.children).toHaveLength(17);
  expect(agents?.children[0]).toMatchObject({ restart: "transient", status: "running" });
  expect(agents?.children[0]?.children[0]?.address).toBe("/root/agents/DIRECTOR/thread");
});

test("a server that is killed comes back in place: nothing else restarts", async () => {
  const before = required(postmaster());
  process.kill(before.pid, "SIGKILL");
  await soon(() => required(postmaster()).pid !== before.pid, wholeNodeMs).toBe(true);
  const postgres = async () => (await child("infrastructure"))?.children[0];
  await soon(async () => (await postgres())?.status, wholeNodeMs).toBe("running");
  expect(await postgres()).toMatchObject({ restarts: 1, lastError: { code: "POSTGRES_EXITED" } });
  const status = await soonStatus();
  expect(status.tree.children.filter(({ restarts }) => restarts > 0)).toEqual([]);
  await soon(() => incidentsAt("/root/infrastructure/postgres"), wholeNodeMs).toEqual([
    expect.objectContaining({
      kind: "crash",
      action: "restarted",
      incarnation: 1,
      error: expect.objectContaining({ code: "POSTGRES_EXITED" }),
    }),
  ]);
}, 180_000);

async function incidentsAt(address: string): Promise<readonly IncidentView[]> {
  const query = `/incidents?address=${encodeURIComponent(address)}`;
  return (await node.get<Page<IncidentView>>(query)).items;
}

/** The pool needs a moment to notice. */
async function soonStatus(): Promise<SystemStatus> {
  let status: SystemStatus | undefined;
  await soon(async () => {
    status = await node.get<SystemStatus>("/system/status");
    return status.ready;
  }, wholeNodeMs).toBe(true);
  if (status === undefined) throw new Error("unreachable: soon() throws before");
  return status;
}

test("a server that cannot come back takes everything above it along, and all starts again", async () => {
  const { cluster, pid } = required(postmaster());
  const file = join(cluster, "PG_VERSION");
  const version = await readFile(file, "utf8");
  await writeFile(file, "1\n");
  process.kill(pid, "SIGKILL");
  // The gateway is stopped first; then infrastructure has given up.
  await soon(
    () =>
      fetch(node.url).then(
        () => "up",
        () => "down",
      ),
    wholeNodeMs,
  ).toBe("down");
  await writeFile(file, version);
  await soon(async () => (await child("infrastructure"))?.restarts, wholeNodeMs).toBeGreaterThan(0);
  const { tree } = await soonStatus();
  expect(tree.children.filter(({ status }) => status !== "running")).toEqual([]);
  // The new parts work together.
  const run = await node.post<WorkflowView>("/workflows", { workflow: "demo" });
  const state = async () => (await node.get<WorkflowView>(`/workflows/${run.id}`)).status;
  await soon(state, wholeNodeMs).toBe("completed");
  await soon(() => incidentsAt("/root/infrastructure"), wholeNodeMs).toEqual([
    expect.objectContaining({ kind: "gave-up", action: "restarted" }),
  ]);
  // The process is the same one: no node was lost.
  expect(await incidentsAt("/root")).toEqual([]);
}, 400_000);

test("a node that is killed is an incident of its next start, one that is stopped is none", async () => {
  const again = async (signal: "SIGKILL" | "SIGTERM") => {
    node.kill(signal);
    await node.exited;
    node = await startSupervisor(["--data-dir", join(folder, "data")]);
    const { nodeId } = await node.get<SystemStatus>("/system/status");
    return nodeId;
  };
  const nodeId = await again("SIGKILL");
  const lost = expect.objectContaining({
    kind: "node-lost",
    action: "restarted",
    node: nodeId,
    detail: expect.objectContaining({ node: nodeId }),
  });
  await soon(() => incidentsAt("/root"), wholeNodeMs).toEqual([lost]);
  expect(await again("SIGTERM")).toBe(nodeId);
  expect(await incidentsAt("/root")).toEqual([lost]);
}, 400_000);
