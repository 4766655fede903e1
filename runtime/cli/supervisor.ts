/**
 * The `supervisor` command: starts a node with its API, runs what was asked for, stops in order.
 *
 * @module
 */

import { createServer } from "node:net";
import { acquireDataDirLock, type DataDirLock } from "../../native/data-dir-lock.ts";
import { unwritable } from "../../native/folders.ts";
import { toListenError } from "../../native/http-host.ts";
import { type Config, mayUseColour } from "../config.ts";
import { type Logger, openLogger } from "../logger.ts";
import { type StopRequest, type StopWatch, watchForStop } from "../shutdown.ts";
import { RequestError, type System } from "../system.ts";
import { version } from "../version.ts";
import { refusalText } from "./api-client.ts";
import { durationText } from "./figures.ts";
import { createRunOutput, type RunOutput } from "./run-output.ts";
import { exitCodeOf, reportFiles, summaryLines } from "./summary.ts";
import { startOrResume, watchRun } from "./watch-run.ts";

export interface SupervisorOptions {
  readonly config: Config;
  /** The workflow to run; undefined only serves. */
  readonly workflow: "phase1" | "demo" | undefined;
  /** End after the workflow; undefined: when stdout is not a terminal. */
  readonly exit: boolean | undefined;
  readonly json: boolean;
}

/** Parts to stop, newest last. */
type Stoppable = { readonly name: string; readonly stop: () => Promise<void> };

/** Runs until the end of the workflow, a signal, or a loss. Resolves with the exit code when all is stopped. */
export async function runSupervisor(options: SupervisorOptions): Promise<number> {
  const { config } = options;
  const colour = mayUseColour();
  const output = createRunOutput({
    json: options.json,
    live: config.dashboard === "console",
    colour: colour && process.stdout.isTTY,
    updateMs: config.consoleUpdateMs,
    stdout: process.stdout,
    stderr: process.stderr,
  });
  let log: Logger | undefined;
  const stops = watchForStop({
    onRequest: (stop, first) => announceStop(stop, first, output, log),
  });
  // Whoever read our output has gone: there is nobody left to work for.
  process.stdout.on("error", (error) => stops.request({ reason: "stdout", exitCode: 1, error }));
  const parts: Stoppable[] = [];
  let code: number;
  try {
    // The lock first: the log of a folder that another supervisor has is that one's.
    const lock = await acquireDataDirLock(config.dataDir);
    parts.push({ name: "lock of the data folder", stop: () => lock.release() });
    log = openNodeLog(config, output, colour && process.stderr.isTTY);
    for (const warning of config.warnings) log.warn(warning);
    code = await work(options, { lock, output, log, stops, parts });
  } catch (error) {
    // What a stopping node throws is the stop itself, not a second fault.
    const stopped = stops.signal.aborted ? (await stops.requested).exitCode : undefined;
    if (stopped === undefined) reportError(error, config, output, log);
    code = stopped ?? 1;
  }
  code = await stopParts(parts, output, log, code);
  log?.info("stopped", { exitCode: code });
  stops.dispose();
  log?.close();
  return code;
}

interface Context {
  readonly lock: DataDirLock;
  readonly output: RunOutput;
  readonly log: Logger;
  readonly stops: StopWatch;
  readonly parts: Stoppable[];
}

/** Resolves with the exit code of the workflow; rejects when a stop is requested. */
async function work(options: SupervisorOptions, context: Context): Promise<number> {
  const { config, workflow } = options;
  const { lock, output, log, stops, parts } = context;
  if (workflow === "phase1") await checkArchive(config);
  await checkPortIsFree(config);
  const startedMs = performance.now();
  output.note("Starting PostgreSQL and the agents…");
  // Loaded late, so that every other command answers at once.
  const [{ startNode }, { startHttpServer }] = await Promise.all([
    import("../start-node.ts"),
    import("../../http/server.ts"),
  ]);
  const node = await startNode({
    config,
    lock,
    log,
    signal: stops.signal,
    openGateway: (request) => startHttpServer({ ...request, kind: "auto", log }),
  });
  parts.push({ name: "node", stop: () => node.stop() });
  const onLost = (error: unknown) => stops.request({ reason: "a lost part", exitCode: 1, error });
  void node.lost.then(onLost, onLost);
  stops.signal.throwIfAborted();
  const { url } = node;
  output.line(`ready ${url}`);
  output.record({ type: "ready", url });
  log.info("ready", { url, version, node: process.version });
  const { warnings } = await node.system.status();
  if (warnings.length > 0) output.note(foldersText(warnings.length));
  const { bridge } = node.system.actors.inspection();
  if (bridge !== null) output.note(`Stately Inspector: ${bridge}`);
  output.note(`Started in ${durationText(performance.now() - startedMs)}; log: ${log.file}`);
  if (workflow === undefined) return untilStopped(stops.signal);
  const code = await runWorkflow(node.system, workflow, url, options, context);
  if (options.exit ?? !process.stdout.isTTY) return code;
  output.line(`The dashboard stays at ${url} until Ctrl-C`);
  return untilStopped(stops.signal);
}

async function runWorkflow(
  system: System,
  workflow: "phase1" | "demo",
  url: string,
  { config }: SupervisorOptions,
  { output, log, stops }: Context,
): Promise<number> {
  const archive = workflow === "phase1" ? config.archive : undefined;
  const database = config.databaseUrl === undefined ? "embedded" : "external";
  const { run, resumed, wasPaused } = await startOrResume(system, workflow, { archive, database });
  const { done, total } = run.tasks;
  output.line(
    resumed
      ? `Continuing ${run.title}, run ${run.id}${wasPaused ? ", which was paused" : ""}: ${done} of ${total} tasks are done`
      : `Running ${run.title}, run ${run.id}`,
  );
  output.record({ type: "run", id: run.id, resumed });
  log.info(resumed ? "run continues" : "run begins", { workflow, id: run.id, done, total });
  const view = output.follow(url);
  const end = await watchRun(system, run.id, view.listener, {
    signal: stops.signal,
    // The node tells of a lost database, and ends when it cannot do without.
    onLookFailed: (error) => log.info("cannot look at the run, looks again", { id: run.id, error }),
  }).finally(view.stop);
  const report = await system.phaseReport(run.id);
  const { status, error } = end.workflow;
  log.info("run ended", {
    workflow,
    id: run.id,
    status,
    ...(error === undefined ? {} : { error }),
  });
  const files = reportFiles(config.dataDir, new Date(end.workflow.createdAt));
  for (const line of summaryLines(end, report?.json, files)) output.line(line);
  output.record({ type: "result", workflow: end.workflow, report: report?.json ?? null, files });
  return exitCodeOf(status, report?.json);
}

/** The log has told each of them as it was found. */
function foldersText(problems: number): string {
  const what = problems === 1 ? "1 problem" : `${problems} problems`;
  return `${what} with agents or workflows of the folders, told above; the rest runs`;
}

/** A wrong file is told before anything is started; the run's own tasks check it again. */
async function checkArchive({ archive }: Config): Promise<void> {
  if (archive === undefined) return;
  const { openSource } = await import("../../actors/archive/source.ts");
  const source = await openSource(archive);
  source.close();
}

/** A taken port is told before the database and 17 agents are started for nothing. */
async function checkPortIsFree({ host, port }: Config): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once("error", reject);
    probe.listen({ host, port, exclusive: true }, resolve);
  }).catch((error: unknown) => {
    const taken = toListenError(host, port, error);
    if (taken.code !== "PORT_TAKEN") throw taken;
    throw new Error(`${taken.message} (--port 0 takes a free one)`, { cause: taken });
  });
  await new Promise((resolve) => probe.close(resolve));
}

/** @throws {NativeError} `DATA_DIR_UNWRITABLE`, `DISK_FULL`. */
function openNodeLog(config: Config, output: RunOutput, colour: boolean): Logger {
  const { dataDir, logLevel } = config;
  try {
    return openLogger({ dataDir, level: logLevel, writeLine: output.note, colour });
  } catch (error) {
    throw unwritable(dataDir, error);
  }
}

function announceStop(
  stop: StopRequest,
  first: boolean,
  output: RunOutput,
  log: Logger | undefined,
): void {
  if (stop.error !== undefined) {
    const message = messageOf(stop.error);
    log?.error(first ? `Cannot go on: ${message}` : message, { error: stop.error });
  }
  log?.info("stopping", { reason: stop.reason });
  if (first) output.note(`Stopping (${stop.reason}); Ctrl-C ends it at once`);
}

/** Newest first; a part that fails to stop does not keep the others from stopping. */
async function stopParts(
  parts: Stoppable[],
  output: RunOutput,
  log: Logger | undefined,
  code: number,
): Promise<number> {
  let result = code;
  for (const { name, stop } of parts.toReversed()) {
    try {
      await stop();
    } catch (error) {
      output.note(`Cannot stop the ${name} in order: ${messageOf(error)}`);
      log?.info(`${name} did not stop in order`, { error });
      if (result === 0) result = 1;
    }
  }
  return result;
}

/** One line for people; the stack is for those who asked for it. */
function reportError(
  error: unknown,
  config: Config,
  output: RunOutput,
  log: Logger | undefined,
): void {
  const message =
    error instanceof RequestError ? refusalText(error.message, error.fields) : messageOf(error);
  output.note(message.startsWith("Cannot ") ? message : `Cannot go on: ${message}`);
  if (config.logLevel === "debug" && error instanceof Error) output.note(error.stack ?? "");
  log?.info("ended by an error", { error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function untilStopped(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}
