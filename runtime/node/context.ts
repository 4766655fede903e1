/**
 * What every part of a node gets: settings, clock, log, and the other parts as they are now.
 *
 * @module
 */

import type { AgentCard } from "../../actors/define-agent.ts";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { BusPort, Clock, CoordinationPort, Log } from "../../actors/ports.ts";
import type { DatabaseTarget } from "../../db/client.ts";
import type { OpenDatabase } from "../../db/database.ts";
import type { AgentFolders } from "../agents-folder/agent-folders.ts";
import type { OpenPool } from "../agents-folder/open-pool.ts";
import type { Coordination } from "../bus/coordination.ts";
import type { Config } from "../config.ts";
import type { ConnectionBudget } from "../connection-budget.ts";
import type { CrashSwitch } from "../engine/crash-points.ts";
import type { LiveHub } from "../live-hub.ts";
import type { Monitor } from "../monitor.ts";
import type { NodeWorkflows } from "../node-workflows.ts";
import type { QueueBackend } from "../queue/job-queue.ts";
import type { Firing } from "../schedules/firing.ts";
import type { SchedulesPort } from "../system.ts";
import type { IncidentJournal } from "../worker/agent/incident-log.ts";
import type { InspectionHub } from "../worker/inspect/hub.ts";
import type { StatelyBridge } from "../worker/inspect/stately-bridge.ts";
import type { ActorService } from "../worker/remote/actor-service.ts";
import { createPart, type Part } from "./part.ts";
import type { NodeTree } from "./tree-services.ts";

/** The database that this node uses: its own server, or the one that `DATABASE_URL` names. */
export interface NodeDatabase extends OpenDatabase {
  readonly target: DatabaseTarget;
  readonly version: string;
}

/** How the agents reach each other. */
export interface NodeBus {
  readonly bus: BusPort;
  readonly coordination: Coordination & CoordinationPort;
}

/** What starts runs at set times. */
export interface NodeSchedules {
  readonly firing: Firing;
  readonly service: SchedulesPort;
}

/** How people and programs reach the node. */
export interface NodeGateway {
  readonly kind: "uws" | "node";
  readonly port: number;
  readonly url: string;
}

export interface NodeParts {
  /** The embedded server; stays down where `DATABASE_URL` names one. */
  readonly server: Part<DatabaseTarget>;
  readonly database: Part<NodeDatabase>;
  readonly bus: Part<NodeBus>;
  readonly agents: Part<OpenPool>;
  readonly actors: Part<ActorService>;
  /** Stays down where no folder is named. */
  readonly folders: Part<AgentFolders>;
  readonly monitor: Part<Monitor>;
  readonly workflows: Part<NodeWorkflows>;
  readonly schedules: Part<NodeSchedules>;
  /** Stays down where it is not asked for. */
  readonly inspector: Part<StatelyBridge>;
  readonly gateway: Part<NodeGateway>;
}

export interface NodeContext {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly nodeId: string;
  readonly queue: (target: DatabaseTarget) => QueueBackend;
  readonly live: LiveHub;
  readonly inspection: InspectionHub;
  readonly budget: ConnectionBudget;
  readonly crash: CrashSwitch;
  /** Names that come with SPECTRA. */
  readonly builtIn: {
    readonly agents: ReadonlySet<string>;
    readonly workflows: ReadonlySet<string>;
  };
  /** By name, in the order of the registry; those of the user's folders come and go. */
  readonly definitions: Map<string, AgentCard>;
  /** Workflows that can be started by their id. */
  readonly registered: Map<string, WorkflowDefinition>;
  readonly parts: NodeParts;
  /** What goes wrong with agents and their tasks. */
  readonly incidents: IncidentJournal;
  readonly tree: NodeTree;
  /** The node cannot go on, for this reason. Only the first counts. */
  lose(error: Error): void;
}

export function createNodeParts(): NodeParts {
  return {
    server: createPart("embedded PostgreSQL"),
    database: createPart("database"),
    bus: createPart("message bus"),
    agents: createPart("agents"),
    actors: createPart("durable actors"),
    folders: createPart("folders of agents"),
    monitor: createPart("monitor"),
    workflows: createPart("workflow engine"),
    schedules: createPart("schedules"),
    inspector: createPart("bridge to Stately's inspector"),
    gateway: createPart("HTTP server"),
  };
}
