/**
 * Benches of the whole supervisor as a user starts it: time to ready, idle cost, Phase 1.
 *
 * @module
 */

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import type { WorkflowView } from "../../runtime/system.ts";
import { newestRun, type SupervisorProcess, startSupervisor } from "../support/supervisor.ts";
import type { Figure } from "./figure.ts";
import { startBenchServer } from "./server.ts";

const idleMs = 10_000;

export async function benchStart(runs: number): Promise<Figure[]> {
  const first: number[] = [];
  const later: number[] = [];
  const memoryMb: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const dataDir = await mkdtemp(join(tmpdir(), "spectra-bench-"));
    for (const times of [first, later]) {
      const startMs = performance.now();
      const supervisor = await startSupervisor(["--data-dir", dataDir]);
      times.push((performance.now() - startMs) / 1_000);
      memoryMb.push(await rssMb(supervisor.pid));
      await stop(supervisor);
    }
    await rm(dataDir, { recursive: true, force: true });
  }
  return [
    {
      name: "supervisor ready, first start, 17 agents healthy",
      values: first,
      unit: "s",
      goal: { atMost: 8 },
    },
    { name: "supervisor ready, later starts", values: later, unit: "s", goal: { atMost: 4 } },
    { name: "supervisor and agents, idle", values: memoryMb, unit: "MB" },
    ...(await benchIdle()),
  ];
}

/** Connections and transactions of an idle node, seen by the server. */
async function benchIdle(): Promise<Figure[]> {
  await using server = await startBenchServer();
  const dataDir = await mkdtemp(join(tmpdir(), "spectra-bench-"));
  const supervisor = await startSupervisor(["--data-dir", dataDir], { DATABASE_URL: server.url });
  const sql = postgres(server.adminUrl, { max: 1 });
  const committed = async (): Promise<number> => {
    const [row] = await sql<{ n: number }[]>`select xact_commit::int as n from pg_stat_database
      where datname = ${server.database}`;
    return row?.n ?? 0;
  };
  const before = await committed();
  await new Promise((resolve) => setTimeout(resolve, idleMs));
  const perSecond = ((await committed()) - before) / (idleMs / 1_000);
  const [open] = await sql<{ n: number }[]>`select count(*)::int as n from pg_stat_activity
    where datname = ${server.database}`;
  await sql.end();
  await stop(supervisor);
  await rm(dataDir, { recursive: true, force: true });
  return [
    {
      name: "transactions per second of an idle node",
      values: [perSecond],
      unit: "/s",
      goal: { atMost: 5 },
    },
    {
      name: "Postgres connections of an idle node",
      values: [open?.n ?? 0],
      unit: "",
      goal: { atMost: 15 },
    },
  ];
}

interface PhaseReport {
  readonly criteria?: readonly {
    readonly id?: string;
    readonly name?: string;
    readonly measured?: unknown;
  }[];
}

export async function benchPhase(runs: number): Promise<Figure[]> {
  const seconds: number[] = [];
  const memoryMb: number[] = [];
  const connections: number[] = [];
  const spaceSaved: number[] = [];
  const accuracy: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    await using server = await startBenchServer();
    const dataDir = await mkdtemp(join(tmpdir(), "spectra-bench-"));
    const supervisor = await startSupervisor(["--data-dir", dataDir, "--phase", "1", "--exit"], {
      DATABASE_URL: server.url,
    });
    const { peakMb, peakConnections, view } = await watch(
      supervisor,
      server.adminUrl,
      server.database,
    );
    seconds.push((Date.parse(view.finishedAt ?? "") - Date.parse(view.startedAt ?? "")) / 1_000);
    memoryMb.push(peakMb);
    connections.push(peakConnections);
    const report = await readReport(dataDir);
    spaceSaved.push(percentOf(report, /space|compress/i));
    accuracy.push(percentOf(report, /dedup|accuracy/i));
    await rm(dataDir, { recursive: true, force: true });
  }
  return [
    { name: "Phase 1 on the sample, 18 tasks", values: seconds, unit: "s", goal: { atMost: 88 } },
    {
      name: "supervisor and agents together, peak",
      values: memoryMb,
      unit: "MB",
      goal: { atMost: 1_536 },
    },
    {
      name: "Postgres connections of the node, peak",
      values: connections,
      unit: "",
      goal: { atMost: 15 },
    },
    { name: "space saved by compression", values: spaceSaved, unit: "%", goal: { atLeast: 65 } },
    {
      name: "deduplication accuracy on planted truth",
      values: accuracy,
      unit: "%",
      goal: { atLeast: 99.5 },
    },
  ];
}

async function watch(supervisor: SupervisorProcess, adminUrl: string, database: string) {
  const sql = postgres(adminUrl, { max: 1 });
  let peakMb = 0;
  let peakConnections = 0;
  let view: WorkflowView = await newestRun(supervisor, "phase1");
  let isOver = false;
  void supervisor.exited.then(() => {
    isOver = true;
  });
  while (!isOver) {
    peakMb = Math.max(peakMb, await rssMb(supervisor.pid));
    const [open] = await sql<{ n: number }[]>`select count(*)::int as n from pg_stat_activity
      where datname = ${database}`;
    peakConnections = Math.max(peakConnections, open?.n ?? 0);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await sql.end();
  const code = await supervisor.exited;
  if (code !== 0) throw new Error(`Phase 1 ended with exit code ${code}:\n${supervisor.output()}`);
  view = await readRun(adminUrl, database, view.id);
  return { peakMb, peakConnections, view };
}

/** The run as the database has it: the supervisor is gone by now. */
async function readRun(adminUrl: string, database: string, id: string): Promise<WorkflowView> {
  const url = new URL(adminUrl);
  url.pathname = `/${database}`;
  const sql = postgres(url.href, { max: 1 });
  const [row] = await sql<{ started: string; finished: string }[]>`
    select started_at::text as started, finished_at::text as finished from spectra.workflows where id = ${id}`;
  await sql.end();
  return { startedAt: row?.started ?? null, finishedAt: row?.finished ?? null } as WorkflowView;
}

async function readReport(dataDir: string): Promise<PhaseReport> {
  const folder = join(dataDir, "reports");
  const name = (await readdir(folder)).find((file) => file.endsWith(".json"));
  if (name === undefined) throw new Error(`There is no report in ${folder}`);
  return JSON.parse(await readFile(join(folder, name), "utf8")) as PhaseReport;
}

/** The measured value of the criterion that matches, as a percentage. */
function percentOf(report: PhaseReport, pattern: RegExp): number {
  const criterion = report.criteria?.find(({ id, name }) =>
    pattern.test(`${id ?? ""} ${name ?? ""}`),
  );
  const value = Number(criterion?.measured);
  return value <= 1 ? value * 100 : value;
}

/** Memory of the process in RAM, all threads together. */
async function rssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1_024;
}

async function stop(supervisor: SupervisorProcess): Promise<void> {
  supervisor.kill("SIGTERM");
  await supervisor.exited;
}
