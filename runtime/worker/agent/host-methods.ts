/**
 * What an agent's thread may call in the main thread: its bus, its coordination, its checkpoints.
 *
 * @module
 */

import type {
  AgentCallHooks,
  BusPort,
  CoordinationPort,
  IncidentLog,
  Log,
} from "../../../actors/ports.ts";
import { AgentError } from "../../../machines/error-code.ts";
import type { InspectionHub } from "../inspect/hub.ts";
import type { HostApi } from "./thread-protocol.ts";

export interface AgentPorts {
  readonly bus: BusPort;
  readonly coordination: CoordinationPort;
  readonly log: Log;
  /** Default: incidents are only logged. */
  readonly incidents?: IncidentLog;
  /** Default: the agents' actors are not inspected. */
  readonly inspection?: InspectionHub;
}

/** Hooks of the attempts that run, by attempt id. */
export type OpenAttempts = Map<string, AgentCallHooks>;

export function hostMethods(ports: AgentPorts, open: ReadonlyMap<string, AgentCallHooks>): HostApi {
  const { bus, coordination } = ports;
  const hooksOf = (attemptId: string, doing: string): AgentCallHooks => {
    const hooks = open.get(attemptId);
    if (hooks !== undefined) return hooks;
    throw new AgentError("ATTEMPT_ENDED", `Cannot ${doing}: the attempt has ended`);
  };
  return {
    checkpoint: async (attemptId, data) => hooksOf(attemptId, "checkpoint").onCheckpoint(data),
    taskTimes: async (attemptId) => hooksOf(attemptId, "read times of tasks").onTaskTimes(),
    publish: (topic, body) => bus.publish(topic, body),
    request: (agent, action, input, timeoutMs) => bus.request(agent, action, input, { timeoutMs }),
    createGroup: (id, members) => coordination.createGroup(id, members),
    createBarrier: (id, participants, timeoutMs) =>
      coordination.createBarrier(id, participants, timeoutMs),
    arriveAtBarrier: (id, participant) => coordination.arriveAtBarrier(id, participant),
    reserve: (id, holder, need) => coordination.reserve(id, holder, need),
    release: (id) => coordination.release(id),
    vote: (id, proposal, voters, required, timeoutMs) =>
      coordination.vote(id, proposal, voters, required, timeoutMs),
  };
}
