/**
 * The bus and coordination of a node: how agents ask each other, vote, and wait for each other.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { availableParallelism, totalmem } from "node:os";
import type { AgentCallHooks } from "../../actors/ports.ts";
import type { ChildSpec, RunningChild } from "../../actors/tree/child-spec.ts";
import { openSql } from "../../db/client.ts";
import { AgentError } from "../../machines/error-code.ts";
import { totalResources } from "../../machines/resource-budget.ts";
import { type BusOptions, createBus } from "../bus/bus.ts";
import { createCoordination } from "../bus/coordination.ts";
import { untilStopped } from "../node-children.ts";
import { connectionsOf } from "../node-workflows.ts";
import type { NodeContext } from "./context.ts";

const coordinationConnections = 1;
/** An agent that is told to stop a request gets this long before its thread is ended. */
const requestGraceMs = 1_000;

export function busChild(node: NodeContext): ChildSpec {
  return { id: "bus", start: async () => startBus(node) };
}

function startBus(node: NodeContext): RunningChild {
  const sql = openSql(node.parts.database.current().target, {
    name: "spectra-coordination",
    max: coordinationConnections,
    idleTimeoutMs: 5_000,
  });
  const bus = createBus({
    callAgent: callAgent(node),
    onPublish: (topic, body) => node.live.emit(["events"], { type: "message", topic, body }),
  });
  const coordination = createCoordination({
    sql,
    bus,
    nodeId: node.nodeId,
    budget: { cpu: availableParallelism(), memoryMb: totalmem() / 1024 / 1024 },
    nominal: totalResources([...node.definitions.values()].map(({ resources }) => resources)),
  });
  node.parts.bus.set({ bus, coordination });
  return untilStopped(() => sql.end({ timeout: 2 }));
}

/** A request over the bus as a call of the agent's thread, within the connections that agents share. */
function callAgent(node: NodeContext): BusOptions["callAgent"] {
  return async (agent, action, input, timeoutMs) => {
    const call = {
      workflowId: "bus",
      taskKey: randomUUID(),
      agent,
      action,
      attempt: 1,
      input,
      lastCheckpoint: undefined,
    };
    const hooks: AgentCallHooks = {
      signal: AbortSignal.timeout(timeoutMs),
      graceMs: requestGraceMs,
      onHeartbeat: () => undefined,
      onCheckpoint: () => notATask("checkpoint: a request over the bus is not a task"),
      onTaskTimes: () => notATask("read times of tasks: a request over the bus belongs to no run"),
    };
    const need = connectionsOf(node.definitions, agent, action);
    const outcome = await node.budget.hold(need, () =>
      node.parts.agents.current().run(call, hooks),
    );
    if (outcome.type === "succeeded") return outcome.output;
    const { code, message, retryable } = outcome.error;
    throw new AgentError(code, message, { retryable });
  };
}

async function notATask(what: string): Promise<never> {
  throw new AgentError("NOT_A_TASK", `Cannot ${what}`);
}
