/**
 * An `AgentContext` for running one capability in the test's own process, on a real database.
 * Bus and coordination calls are refused unless the test passes its own.
 *
 * @module
 */

import type { Sql } from "postgres";
import type { AgentContext, BusPort, CoordinationPort, Log, Progress } from "../../actors/ports.ts";
import { transactionOnce } from "../../actors/transaction-once.ts";
import { AgentError, type Json } from "../../machines/error-code.ts";

const quiet: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

function refuse(what: string): never {
  throw new AgentError("NOT_IN_THIS_TEST", `Cannot ${what}: the test gave no port for it`);
}

const noBus: BusPort = {
  publish: async () => refuse("publish"),
  request: async () => refuse("request"),
};
const noCoordination: CoordinationPort = {
  createGroup: async () => refuse("create a group"),
  createBarrier: async () => refuse("create a barrier"),
  arriveAtBarrier: async () => refuse("arrive at a barrier"),
  reserve: async () => refuse("reserve"),
  release: async () => refuse("release"),
  vote: async () => refuse("vote"),
};

export interface TestContext extends AgentContext {
  /** Every progress report, in order. */
  readonly heartbeats: (Progress | undefined)[];
  /** Every checkpoint, in order. */
  readonly checkpoints: Json[];
}

export function createAgentContext(sql: Sql, overrides: Partial<AgentContext> = {}): TestContext {
  const heartbeats: (Progress | undefined)[] = [];
  const checkpoints: Json[] = [];
  return {
    agent: "TEST",
    action: "test",
    workflowId: "wf-test",
    taskKey: "task",
    attempt: 1,
    idempotencyKey: "wf-test/task",
    signal: new AbortController().signal,
    log: quiet,
    clock: { now: () => new Date(), monotonicMs: () => performance.now() },
    bus: noBus,
    coordination: noCoordination,
    host: { dataDir: "/tmp/spectra-test", embeddedDatabase: false, redisUrl: undefined },
    sql,
    transaction: (work, name = "") =>
      transactionOnce(sql, { task: "wf-test/task", undo: false, name }, work),
    // No engine runs here, so that there are no times.
    spend: () => undefined,
    taskTimes: async () => [],
    lastCheckpoint: undefined,
    ...overrides,
    heartbeats,
    checkpoints,
    heartbeat: (progress) => {
      heartbeats.push(progress);
    },
    checkpoint: async (data) => {
      checkpoints.push(data);
    },
  };
}
