/**
 * The probe agents of `agents/` in real threads, on a real database, for tests.
 *
 * @module
 */

import type {
  AgentCall,
  AgentCallHooks,
  AgentState,
  IncidentLog,
  Progress,
} from "../../actors/ports.ts";
import { AgentError, type Json } from "../../machines/error-code.ts";
import {
  type AgentsHandle,
  type AgentsOptions,
  startAgents,
} from "../../runtime/worker/agent/agent-pool.ts";
import type { InspectionHub } from "../../runtime/worker/inspect/hub.ts";
import { compiledUrl } from "../../runtime/worker/thread-url.ts";
import { other, probe } from "./agents/probe.ts";

const clock = { now: () => new Date(), monotonicMs: () => performance.now() };

export interface TestPool {
  readonly agents: AgentsHandle;
  readonly logged: { level: string; message: string; fields: Record<string, unknown> }[];
  readonly states: AgentState[];
  readonly published: { topic: string; body: Json }[];
}

/** This file is also compiled, for the benches. */
const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";

/** Module of a file in `test/support/agents/`, compiled. */
export function testAgentUrl(file: string): string {
  return compiledUrl(new URL(`./agents/${file}.${extension}`, import.meta.url));
}

/** Backoff starts at 10 ms. */
export async function startTestPool(
  databaseUrl: string,
  {
    incidents,
    inspection,
    ...options
  }: Partial<AgentsOptions> & { incidents?: IncidentLog; inspection?: InspectionHub } = {},
): Promise<TestPool> {
  const logged: TestPool["logged"] = [];
  const states: AgentState[] = [];
  const published: TestPool["published"] = [];
  const at =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}): void => {
      logged.push({ level, message, fields });
    };
  const refuse = async (): Promise<never> => {
    throw new AgentError("NOT_IN_THIS_TEST", "Cannot coordinate: the test gave no port for it");
  };
  const agents = await startAgents({
    definitions: [probe, other],
    moduleUrl: () => testAgentUrl("probe"),
    database: { type: "url", url: databaseUrl },
    host: { dataDir: "/tmp", embeddedDatabase: false, redisUrl: undefined },
    ports: {
      bus: {
        publish: async (topic, body) => {
          published.push({ topic, body });
        },
        request: async (agent, action, input, { timeoutMs }) => {
          if (agent !== "ORACLE") {
            throw new AgentError("AGENT_UNKNOWN", `Cannot ask "${agent}": no such agent`, {
              cause: new RangeError("not in the list"),
            });
          }
          return { action, input, timeoutMs };
        },
      },
      coordination: {
        createGroup: refuse,
        createBarrier: refuse,
        arriveAtBarrier: refuse,
        reserve: refuse,
        release: refuse,
        vote: refuse,
      },
      ...(incidents === undefined ? {} : { incidents }),
      ...(inspection === undefined ? {} : { inspection }),
      log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    },
    clock,
    onChange: (state) => states.push(state),
    backoff: { initialMs: 10, maxMs: 100 },
    ...options,
  });
  return { agents, logged, states, published };
}

export function callOf(action: string, input: Json, overrides: Partial<AgentCall> = {}): AgentCall {
  return {
    workflowId: "wf-1",
    taskKey: "task",
    agent: "PROBE",
    action,
    attempt: 1,
    input,
    lastCheckpoint: undefined,
    ...overrides,
  };
}

export interface RecordedHooks extends AgentCallHooks {
  readonly controller: AbortController;
  readonly heartbeats: (Progress | undefined)[];
  readonly checkpoints: Json[];
  /** Resolves at the first heartbeat: the action runs. */
  readonly begun: Promise<void>;
}

export function recordHooks(overrides: Partial<AgentCallHooks> = {}): RecordedHooks {
  const controller = new AbortController();
  const heartbeats: (Progress | undefined)[] = [];
  const checkpoints: Json[] = [];
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  return {
    controller,
    heartbeats,
    checkpoints,
    begun,
    signal: controller.signal,
    graceMs: 2_000,
    onHeartbeat: (progress) => {
      heartbeats.push(progress);
      begin();
    },
    onCheckpoint: async (data) => {
      checkpoints.push(data);
    },
    onTaskTimes: async () => [],
    ...overrides,
  };
}
