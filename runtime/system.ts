/**
 * The facade of a running node: all that `http/` and the command line may know of the system.
 *
 * @module
 */

import type { Json } from "../machines/error-code.ts";
import type { ActorsPort, TreeView } from "./system/actors.ts";
import type { AgentsPort } from "./system/agents.ts";
import type { HistoryPort } from "./system/history.ts";
import type { LimitsPort } from "./system/limits.ts";
import type { LivePort, SystemMetrics } from "./system/live.ts";
import type { PlansPort } from "./system/plans.ts";
import type { SchedulesPort } from "./system/schedules.ts";
import type { WorkflowStatus, WorkflowsPort } from "./system/workflows.ts";

export type {
  ActorsPort,
  ActorView,
  DeadLetterView,
  IncidentView,
  InspectedTransition,
  InspectionMode,
  InspectionStatus,
  Intensity,
  MachineState,
  MachineTransition,
  MachineView,
  TreeView,
} from "./system/actors.ts";
export type {
  AgentDetails,
  AgentsPort,
  AgentView,
  LoopFigures,
} from "./system/agents.ts";
export type {
  ApprovalDetails,
  ApprovalView,
  BulkFilter,
  BulkPreview,
  BulkView,
  CommandedRun,
  ControlPort,
  Operator,
  Order,
  RunStateView,
  UpdateView,
} from "./system/control.ts";
export type {
  AuditFinding,
  ForkRequest,
  HistoryPort,
  MoveCheckView,
  RetentionRequest,
  RetentionView,
  RunDiffView,
  SnapshotView,
} from "./system/history.ts";
export type { LimitsPort, LimitsView, SlotView } from "./system/limits.ts";
export type { LiveBody, LiveEvent, LivePort, SystemMetrics } from "./system/live.ts";
export type {
  GivenTask,
  PlansPort,
  PlanView,
  SimulateWorkflow,
  SimulationView,
} from "./system/plans.ts";
export { type Actor, type Page, RequestError } from "./system/requests.ts";
export type {
  ScheduleFireView,
  SchedulesPort,
  ScheduleTime,
  ScheduleView,
} from "./system/schedules.ts";
export type {
  JournalEntry,
  KnownWorkflow,
  RunQuery,
  StartWorkflow,
  TaskExplanation,
  TaskStatus,
  TaskView,
  WorkflowGraph,
  WorkflowStatus,
  WorkflowsPort,
  WorkflowView,
} from "./system/workflows.ts";

export interface SystemStatus {
  readonly nodeId: string;
  readonly version: string;
  readonly startedAt: string;
  readonly uptimeMs: number;
  readonly ready: boolean;
  readonly reasons: readonly string[];
  /** What is wrong without keeping the node from its work, such as a module of a folder that cannot be used. */
  readonly warnings: readonly string[];
  readonly database: { kind: "embedded" | "external"; version: string };
  readonly queue: { kind: "postgres" | "redis" };
  readonly server: { kind: "uws" | "node" } | null;
  readonly workflows: Readonly<Record<WorkflowStatus, number>>;
  readonly agents: { total: number; healthy: number };
  readonly tree: TreeView;
}

export interface System {
  readonly nodeId: string;
  status(): Promise<SystemStatus>;
  metrics(): SystemMetrics;
  readiness(): { ready: boolean; reasons: readonly string[] };
  readonly workflows: WorkflowsPort;
  readonly plans: PlansPort;
  readonly history: HistoryPort;
  readonly schedules: SchedulesPort;
  readonly agents: AgentsPort;
  readonly actors: ActorsPort;
  readonly limits: LimitsPort;
  readonly live: LivePort;
  /** The newest report of a phase, as JSON and Markdown; undefined before the first. */
  phaseReport(workflowId: string): Promise<{ json: Json; markdown: string } | undefined>;
}
