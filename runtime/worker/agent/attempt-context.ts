/**
 * Builds the `AgentContext` of one attempt inside the agent's thread, and takes it back afterwards.
 *
 * @module
 */

import type { Sql } from "postgres";
import type {
  AgentContext,
  BusPort,
  Clock,
  CoordinationPort,
  HostFacts,
  Log,
  Progress,
} from "../../../actors/ports.ts";
import { transactionOnce } from "../../../actors/transaction-once.ts";
import type { DatabaseTarget } from "../../../db/client.ts";
import { AgentError, type Json } from "../../../machines/error-code.ts";
import { checkJson } from "../../../machines/json.ts";
import type { Calls } from "../call/calls.ts";
import type { Reporter } from "./reporter.ts";
import { createSampler } from "./sampler.ts";
import type { AttemptRequest, HostApi, LogLevel } from "./thread-protocol.ts";

const heartbeatIntervalMs = 100;
const maxCheckpointBytes = 64 * 1_024;
/** Of a message to another agent. */
const maxMessageBytes = 1_024 * 1_024;
/** A coordination call that has no time limit of its own. */
const hostCallTimeoutMs = 60_000;
/** What a call with its own time limit may take longer, on the way. */
const hostCallMarginMs = 5_000;
/** Queries get this long to finish after an attempt has ended. */
const sqlEndSeconds = 2;

export interface WorkerServices {
  readonly host: Calls<HostApi>;
  readonly facts: HostFacts;
  /** Absent for an agent that declares no connections. */
  readonly database?: DatabaseTarget;
  readonly clock: Clock;
  readonly reporter: Reporter;
  /** A sign of life that the main thread sees at once, also while the loop is blocked. */
  beat(): void;
}

export interface AttemptContext {
  readonly ctx: AgentContext;
  /** By unit; undefined when it spent nothing. */
  spent(): Readonly<Record<string, number>> | undefined;
  /** Closes the database client, sends the last heartbeat, and makes `ctx` useless. */
  end(): Promise<void>;
}

/** @param connections At most; with 0 the attempt has no `sql`. */
export async function openAttemptContext(
  request: AttemptRequest,
  connections: number,
  signal: AbortSignal,
  services: WorkerServices,
): Promise<AttemptContext> {
  const { call } = request;
  const sql = await lazySql(request, connections, signal, services.database);
  const heartbeats = createSampler<Progress | undefined>(heartbeatIntervalMs, (progress) =>
    services.reporter.report("heartbeat", {
      attemptId: request.id,
      ...(progress === undefined ? {} : { progress: plainProgress(progress) }),
    }),
  );
  let ended = false;
  const totals = new Map<string, number>();
  const ctx: AgentContext = {
    agent: call.agent,
    action: call.action,
    workflowId: call.workflowId,
    taskKey: call.taskKey,
    attempt: call.attempt,
    idempotencyKey: `${call.workflowId}/${call.taskKey}`,
    signal,
    log: threadLog(services, {
      workflowId: call.workflowId,
      taskKey: call.taskKey,
      attempt: call.attempt,
    }),
    clock: services.clock,
    bus: busOver(services.host, signal),
    coordination: coordinationOver(services.host, signal),
    host: services.facts,
    get sql() {
      return sql.get();
    },
    transaction: (work, name = "") => {
      const task = `${call.workflowId}/${call.taskKey}`;
      if (call.workflowId === "bus") {
        throw new AgentError("NOT_A_TASK", "Cannot commit once: a request over the bus is no task");
      }
      return transactionOnce(sql.get(), { task, undo: call.compensates === true, name }, work);
    },
    heartbeat: (progress) => {
      services.beat();
      heartbeats.push(progress);
    },
    checkpoint: async (data) => {
      if (ended) throw new AgentError("ATTEMPT_ENDED", "Cannot checkpoint: the attempt has ended");
      const limits = { timeoutMs: hostCallTimeoutMs, signal };
      await services.host.within(limits).checkpoint(request.id, checkpointData(data));
    },
    spend: (unit, amount) => {
      if (typeof amount !== "number" || !(amount >= 0) || amount === Number.POSITIVE_INFINITY) {
        const problem = `${String(amount)} ${String(unit)} is no amount`;
        throw new AgentError("SPENDING_INVALID", `Cannot count what was spent: ${problem}`);
      }
      const name = String(unit);
      totals.set(name, (totals.get(name) ?? 0) + amount);
      // Should the thread die, the main thread knows what it had spent.
      const all = { attemptId: request.id, totals: Object.fromEntries(totals) };
      services.reporter.report("spent", all);
    },
    lastCheckpoint: call.lastCheckpoint,
    taskTimes: () =>
      services.host.within({ timeoutMs: hostCallTimeoutMs, signal }).taskTimes(request.id),
  };
  return {
    ctx,
    spent: () => (totals.size === 0 ? undefined : Object.fromEntries(totals)),
    end: async () => {
      ended = true;
      heartbeats.end();
      await sql.end();
    },
  };
}

/** Only the fields of `Progress`, so that nothing an action adds can stop the message. */
function plainProgress(progress: Progress): Progress {
  const { percent, done, total, message } = progress;
  return {
    ...(percent === undefined ? {} : { percent: Number(percent) }),
    ...(done === undefined ? {} : { done: Number(done) }),
    ...(total === undefined ? {} : { total: Number(total) }),
    ...(message === undefined ? {} : { message: String(message) }),
  };
}

function checkpointData(data: Json): Json {
  const checked = checkJson(data);
  if (checked.type === "not-json") {
    const message = `Cannot checkpoint: "${checked.path}" is ${checked.found}, must be JSON`;
    throw new AgentError("CHECKPOINT_INVALID", message);
  }
  const sizeBytes = Buffer.byteLength(JSON.stringify(checked.value));
  if (sizeBytes > maxCheckpointBytes) {
    const message = `Cannot checkpoint: ${sizeBytes} bytes of JSON, at most ${maxCheckpointBytes} are kept`;
    throw new AgentError("CHECKPOINT_TOO_LARGE", message);
  }
  return checked.value;
}

interface LazySql {
  get(): Sql;
  end(): Promise<void>;
}

/** The client opens at the first `get`. After an abort it is cut off half-way through the grace period. */
async function lazySql(
  request: AttemptRequest,
  connections: number,
  signal: AbortSignal,
  database: DatabaseTarget | undefined,
): Promise<LazySql> {
  const { agent, action } = request.call;
  // Imported before the first use, because `get` cannot wait; costs nothing where no SQL is needed.
  const openSql = connections === 0 ? undefined : (await import("../../../db/client.ts")).openSql;
  let sql: Sql | undefined;
  let ended = false;
  let cutTimer: NodeJS.Timeout | undefined;
  // An action that waits for a query does not see the signal, and would cost its thread.
  const cutLater = (): void => {
    cutTimer = setTimeout(() => void sql?.end({ timeout: 0 }), request.graceMs / 2);
  };
  signal.addEventListener("abort", cutLater, { once: true });
  return {
    get: () => {
      if (openSql === undefined || database === undefined) {
        const message = `Cannot use sql in ${agent}.${action}: it is declared with 0 connections`;
        throw new AgentError("NO_CONNECTIONS", message);
      }
      if (ended) throw new AgentError("ATTEMPT_ENDED", "Cannot use sql: the attempt has ended");
      sql ??= openSql(database, { name: `spectra ${agent}.${action}`, max: connections });
      return sql;
    },
    end: async () => {
      ended = true;
      signal.removeEventListener("abort", cutLater);
      clearTimeout(cutTimer);
      await sql?.end({ timeout: sqlEndSeconds });
    },
  };
}

/** @param base Fields that every line carries. */
export function threadLog(
  services: Pick<WorkerServices, "reporter">,
  base: Readonly<Record<string, Json>> = {},
): Log {
  const at =
    (level: LogLevel) =>
    (message: string, fields: Record<string, unknown> = {}): void => {
      const plain = Object.entries(fields).map(([key, value]) => [key, loggable(value)]);
      services.reporter.report("log", {
        level,
        message: String(message),
        fields: { ...base, ...Object.fromEntries(plain) },
      });
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function loggable(value: unknown): Json {
  const checked = checkJson(value);
  if (checked.type === "json") return checked.value;
  return value instanceof Error ? `${value.name}: ${value.message}` : String(value);
}

function busOver(host: Calls<HostApi>, signal: AbortSignal): BusPort {
  return {
    publish: async (topic, body) =>
      host
        .within({ timeoutMs: hostCallTimeoutMs, signal })
        .publish(topic, message(`publish on "${topic}"`, body)),
    request: async (agent, action, input, { timeoutMs }) =>
      host
        .within({ timeoutMs: timeoutMs + hostCallMarginMs, signal })
        .request(agent, action, message(`ask ${agent}.${action}`, input), timeoutMs),
  };
}

/** Checked here, where it is cheap to say which field is wrong, rather than on the main thread. */
function message(doing: string, body: Json): Json {
  const checked = checkJson(body);
  if (checked.type === "not-json") {
    const problem = `"${checked.path}" is ${checked.found}, must be JSON`;
    throw new AgentError("MESSAGE_INVALID", `Cannot ${doing}: ${problem}`);
  }
  const sizeBytes = Buffer.byteLength(JSON.stringify(checked.value));
  if (sizeBytes > maxMessageBytes) {
    const problem = `${sizeBytes} bytes of JSON, at most ${maxMessageBytes} may be sent`;
    throw new AgentError("MESSAGE_TOO_LARGE", `Cannot ${doing}: ${problem}`);
  }
  return checked.value;
}

function coordinationOver(host: Calls<HostApi>, signal: AbortSignal): CoordinationPort {
  const calls = host.within({ timeoutMs: hostCallTimeoutMs, signal });
  return {
    createGroup: (id, members) => calls.createGroup(id, members),
    createBarrier: (id, participants, timeoutMs) =>
      calls.createBarrier(id, participants, timeoutMs),
    arriveAtBarrier: (id, participant) => calls.arriveAtBarrier(id, participant),
    reserve: (id, holder, need) => calls.reserve(id, holder, need),
    release: (id) => calls.release(id),
    vote: async (id, proposal, voters, required, timeoutMs) =>
      host
        .within({ timeoutMs: timeoutMs + hostCallMarginMs, signal })
        .vote(id, message(`vote on "${id}"`, proposal), voters, required, timeoutMs),
  };
}
