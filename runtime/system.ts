/**
 * The facade of a running node: all that `http/` and the command line may know of the system.
 *
 * @module
 */

import type { Grant } from "../actors/define-agent.ts";
import type { Progress } from "../actors/ports.ts";
import type { ErrorRecord, Json } from "../machines/error-code.ts";

export type WorkflowStatus =
  | "pending"
  | "running"
  | "paused"
  | "completed"
  | "failed"
  | "cancelled"
  | "parked";

export type TaskStatus =
  | "blocked"
  | "ready"
  | "dispatched"
  | "running"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "skipped"
  | "retrying"
  | "compensating"
  | "compensated"
  | "parked";

/** Times are ISO 8601 UTC strings, durations are milliseconds, `progress` is 0 to 1. */
export interface WorkflowView {
  readonly id: string;
  readonly workflow: string;
  readonly title: string;
  /** Content hash of the definition that the run is pinned to. */
  readonly version: string;
  readonly status: WorkflowStatus;
  /** State of the statechart: `week1`. */
  readonly state: string;
  readonly progress: number;
  readonly tasks: { total: number; done: number; running: number; failed: number };
  readonly priority: number;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly input: Json;
  readonly error?: ErrorRecord;
  readonly output?: Json;
}

export interface TaskView {
  readonly key: string;
  readonly title: string;
  readonly stage: string;
  readonly agent: string;
  readonly action: string;
  readonly after: readonly string[];
  readonly status: TaskStatus;
  readonly attempt: number;
  readonly progress?: Progress;
  readonly output?: Json;
  readonly error?: ErrorRecord;
  readonly readyAt: string | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly node: string | null;
}

export interface AgentView {
  readonly name: string;
  readonly category: string;
  readonly description: string;
  /** Action names. */
  readonly capabilities: readonly string[];
  readonly skills: readonly string[];
  readonly dependsOn: readonly string[];
  readonly status:
    | "starting"
    | "running"
    | "restarting"
    | "draining"
    | "paused"
    | "stopped"
    | "failed";
  readonly health: "healthy" | "unhealthy" | "unknown";
  readonly restarts: number;
  readonly inFlight: number;
  readonly concurrency: number;
  /** Of finished attempts since start, 0 to 1; null before the first. */
  readonly successRate: number | null;
  readonly averageMs: number | null;
  readonly lastSeenAt: string | null;
  readonly threadId: number | null;
  readonly permissions: Readonly<Record<string, Grant>>;
  readonly resources: { cpu: number; memoryMb: number };
  /** Of its running thread, as it last measured itself; null while there is none. */
  readonly figures: LoopFigures | null;
}

export interface LoopFigures {
  /** Newest delay of its event loop, in ms. */
  readonly lagMs: number;
  /** Time that its loop was busy so far, in ms. */
  readonly cpuMs: number;
  readonly heapBytes: number;
  /** Outside of the heap, where V8 sets no limit. */
  readonly bufferBytes: number;
}

/** How strongly a permission holds where an agent runs. */
export type EnforcementLevel = "none" | "soft" | "brokered" | "hard";

/** An agent with what is too much for a list. */
export interface AgentDetails extends AgentView {
  /** Where its worker runs. */
  readonly isolation: "thread" | "process" | "deno";
  /** By permission: `{ "read": "hard" }`, on the Node version of this node. */
  readonly enforcement: Readonly<Record<string, EnforcementLevel>>;
  readonly actions: readonly AgentAction[];
}

export interface AgentAction {
  readonly name: string;
  readonly description: string;
  /** Postgres connections that one run needs at most. */
  readonly connections: number;
  /** JSON Schemas; null where they cannot be written as such. */
  readonly inputSchema: Json;
  readonly outputSchema: Json;
}

/** At most this many restarts in a period; beyond, the supervisor gives up. */
export interface Intensity {
  readonly maxRestarts: number;
  readonly periodMs: number;
}

export type AutoShutdown = "never" | "any_significant" | "all_significant";

export interface JournalEntry {
  readonly seq: number;
  readonly type: string;
  readonly at: string;
  readonly actor: string;
  readonly payload: Json;
}

/** A node of the supervision tree. */
export interface TreeView {
  readonly id: string;
  readonly kind: "supervisor" | "worker";
  readonly strategy?: "one_for_one" | "one_for_all" | "rest_for_one";
  readonly intensity?: Intensity;
  readonly autoShutdown?: AutoShutdown;
  /** Its end counts for the `autoShutdown` of its supervisor. */
  readonly significant?: boolean;
  /** Path from the root, without incarnation: `/root/agents/DIRECTOR`. */
  readonly address?: string;
  /** How its supervisor treats its end. */
  readonly restart?: "permanent" | "transient" | "temporary";
  /** Grows by one at each start; from 1. */
  readonly incarnation?: number;
  readonly status: string;
  readonly restarts: number;
  readonly lastError?: ErrorRecord | null;
  readonly children: readonly TreeView[];
}

export type ActorKind =
  | "supervisor"
  | "worker"
  /** The life of an agent as its node sees it. */
  | "agent"
  /** The actor in an agent's thread. */
  | "thread"
  | "workflow"
  | "task"
  /** An actor that another actor has spawned. */
  | "actor"
  /** An actor in a worker of its own, reached over the event channel. */
  | "remote";

/** One actor of the live tree. A figure that nothing measures is absent. */
export interface ActorView {
  /** `/root/agents/DIRECTOR`. */
  readonly address: string;
  readonly id: string;
  readonly kind: ActorKind;
  readonly strategy?: "one_for_one" | "one_for_all" | "rest_for_one";
  readonly intensity?: Intensity;
  readonly autoShutdown?: AutoShutdown;
  readonly restart?: "permanent" | "transient" | "temporary";
  readonly significant?: boolean;
  readonly status: string;
  readonly health?: "healthy" | "unhealthy" | "unknown";
  readonly restarts: number;
  readonly incarnation?: number;
  /** Messages that wait for it. */
  readonly mailbox?: number;
  /** Delayed events of a durable actor that are stored. */
  readonly timers?: number;
  /** Thread id, or process id. */
  readonly threadId?: number;
  /** CPU time so far, in ms. */
  readonly cpuMs?: number;
  /** Heap in use, in bytes. */
  readonly heapBytes?: number;
  /** Buffers outside of the heap, in bytes. */
  readonly bufferBytes?: number;
  /** Newest delay of its event loop, in ms. */
  readonly lagMs?: number;
  /** Id of its statechart: `supervisor`, `agent`, `phase1`; absent where it is none. */
  readonly machineId?: string;
  readonly lastError?: ErrorRecord;
  readonly children: readonly ActorView[];
}

export interface MachineTransition {
  readonly event: string;
  /** Ids of the target states; none for a transition that only acts. */
  readonly targets: readonly string[];
  /** Name of the guard; `inline` for one without. */
  readonly guard?: string;
  readonly actions: readonly string[];
}

export interface MachineState {
  /** `phase1.week1`. */
  readonly id: string;
  readonly key: string;
  readonly type: "atomic" | "compound" | "parallel" | "final" | "history";
  readonly initial?: string;
  readonly active: boolean;
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  readonly invokes: readonly { readonly id: string; readonly src: string }[];
  readonly transitions: readonly MachineTransition[];
  readonly states: readonly MachineState[];
}

/** The statechart of an actor, as it is now. */
export interface MachineView {
  readonly address: string;
  readonly machineId: string;
  /** State value as XState writes it; null where the actor's thread does not tell. */
  readonly value: Json;
  readonly status: string;
  readonly root: MachineState;
  /** The machine's config as JSON: what Stately's tools read. Functions are `{ "type": NAME }`. */
  readonly definition: Json;
  /** The newest transitions that were inspected, oldest first; empty while inspection is off. */
  readonly transitions: readonly InspectedTransition[];
}

export type InspectionMode = "off" | "sampled" | "lossless";

/** An actor took one event. Payloads are redacted and cut. */
export interface InspectedTransition {
  readonly address: string;
  /** `<address>#<n>/<sessionId>`: unique over threads and their incarnations. */
  readonly session: string;
  /** Per session, from 1; a hole means frames that were sampled away or dropped. */
  readonly seq: number;
  readonly at: string;
  readonly event: Json;
  readonly from: Json;
  readonly to: Json;
  readonly status: string;
  readonly actions: readonly string[];
  /** Event types of the microsteps. */
  readonly microsteps: readonly string[];
  /** Session of the actor that sent the event, where one did. */
  readonly source?: string;
}

export interface InspectionStatus {
  readonly mode: InspectionMode;
  /** Actors whose mode differs, by address. */
  readonly actors: Readonly<Record<string, InspectionMode>>;
  readonly threads: number;
  readonly frames: number;
  /** Frames that no buffer had room for. */
  readonly dropped: number;
  /** Where a receiver of Stately's protocol connects; null while the bridge is off. */
  readonly bridge: string | null;
}

export interface IncidentView {
  readonly id: number;
  readonly at: string;
  readonly node: string;
  readonly address: string;
  readonly incarnation: number;
  readonly kind: string;
  readonly action: string;
  readonly error: ErrorRecord | null;
  readonly detail: Json;
}

export interface DeadLetterView {
  readonly id: number;
  readonly at: string;
  readonly node: string;
  readonly sender: string | null;
  readonly target: string;
  readonly reason: string;
  /** Redacted. */
  readonly event: Json;
}

export interface ActorsPort {
  /** The whole tree of this node. */
  tree(): Promise<ActorView>;
  get(address: string): Promise<ActorView | undefined>;
  /** Undefined for an actor that does not exist or is no statechart. */
  machine(address: string): Promise<MachineView | undefined>;
  /** Newest first. */
  incidents(query: {
    address?: string;
    cursor?: string;
    limit?: number;
  }): Promise<Page<IncidentView>>;
  /** Newest first. */
  deadLetters(query: {
    target?: string;
    cursor?: string;
    limit?: number;
  }): Promise<Page<DeadLetterView>>;
  /** Sends it again and removes it. @throws {RequestError} `NOT_FOUND`, or `CONFLICT` where nobody would get it. */
  replayDeadLetter(id: number, by: Actor): Promise<DeadLetterView>;
  inspection(): InspectionStatus;
  /** For all actors, or for one. @throws {RequestError} `NOT_FOUND`. */
  inspect(mode: InspectionMode, address: string | undefined, by: Actor): InspectionStatus;
}

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

/** The seed's figures. */
export interface SystemMetrics {
  readonly tasks_per_minute: number;
  readonly average_task_duration: number;
  readonly success_rate: number;
  readonly resource_utilization: { cpu: number; memory_mb: number; event_loop_lag_ms: number };
}

export interface StartWorkflow {
  /** A registered name such as `phase1`, or a definition as JSON. */
  readonly workflow: string | Json;
  readonly input?: Readonly<Record<string, Json>>;
  readonly priority?: number;
  readonly startPaused?: boolean;
  readonly idempotencyKey?: string;
}

/** Who asked for a control operation, and why; both go into the journal. */
export interface Actor {
  readonly actor: string;
  readonly reason?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

export interface WorkflowsPort {
  /** Resolves after the run is durable. The same idempotency key gives the same run. */
  start(request: StartWorkflow, by: Actor): Promise<WorkflowView>;
  list(query: {
    status?: WorkflowStatus;
    workflow?: string;
    cursor?: string;
    limit?: number;
  }): Promise<Page<WorkflowView>>;
  get(id: string): Promise<WorkflowView | undefined>;
  tasks(id: string): Promise<readonly TaskView[] | undefined>;
  history(id: string, after: number, limit: number): Promise<readonly JournalEntry[] | undefined>;
  /** Edges by task key, stages in the order of the statechart. */
  graph(id: string): Promise<WorkflowGraph | undefined>;
  pause(id: string, by: Actor): Promise<WorkflowView>;
  resume(id: string, by: Actor): Promise<WorkflowView>;
  cancel(id: string, by: Actor): Promise<WorkflowView>;
  /** Runs failed and cancelled tasks again (or just one). */
  retry(id: string, by: Actor, taskKey?: string): Promise<WorkflowView>;
  explain(id: string, taskKey: string): Promise<TaskExplanation | undefined>;
}

export interface WorkflowGraph {
  readonly stages: readonly { name: string; title: string; tasks: readonly string[] }[];
  readonly nodes: readonly {
    key: string;
    title: string;
    agent: string;
    stage: string;
    status: TaskStatus;
  }[];
  readonly edges: readonly { from: string; to: string }[];
}

export interface TaskExplanation {
  readonly status: TaskStatus;
  /** One sentence each: `waits for "postgresql_cluster_setup" (running)`. Empty when nothing holds it. */
  readonly reasons: readonly string[];
}

export interface AgentsPort {
  list(): readonly AgentView[];
  get(name: string): AgentDetails | undefined;
  /** Replaces the thread in order: running attempts get a few seconds. */
  restart(name: string, by: Actor): Promise<AgentView>;
  /** Terminates the thread at once, as a crash would; the supervisor starts another. */
  kill(name: string, by: Actor): Promise<AgentView>;
  drain(name: string, by: Actor): Promise<AgentView>;
  pause(name: string, by: Actor): Promise<AgentView>;
  resume(name: string, by: Actor): Promise<AgentView>;
}

/** What the live stream carries. Topics: `system`, `events`, `inspect`, `workflow:ID`, `agent:NAME`, `actor:ADDRESS`. */
export type LiveBody =
  | { readonly type: "workflow"; readonly workflow: WorkflowView }
  | { readonly type: "task"; readonly workflowId: string; readonly task: TaskView }
  | { readonly type: "journal"; readonly workflowId: string; readonly entry: JournalEntry }
  | { readonly type: "agent"; readonly agent: AgentView }
  | { readonly type: "system"; readonly metrics: SystemMetrics }
  /** Transitions of one actor since the last such event; `leftOut` more were inspected. */
  | {
      readonly type: "inspection";
      readonly address: string;
      readonly transitions: readonly InspectedTransition[];
      readonly leftOut: number;
    }
  | { readonly type: "message"; readonly topic: string; readonly body: Json };

export interface LiveEvent {
  /** Grows by one per event of this process; with `epoch` it names a place in the stream. */
  readonly seq: number;
  readonly topics: readonly string[];
  readonly at: string;
  readonly body: LiveBody;
}

export interface LivePort {
  /** Changes at each start of the process: a client that resumes with another epoch needs a new snapshot. */
  readonly epoch: string;
  /** Sequence number of the newest event. */
  readonly lastSeq: () => number;
  /** Events after `seq`, oldest first, or undefined when the buffer (4,096 events) no longer holds them all. */
  since(seq: number): readonly LiveEvent[] | undefined;
  /** The listener must not throw and must not block; it is called on the main thread. */
  subscribe(listener: (event: LiveEvent) => void): () => void;
}

export interface System {
  readonly nodeId: string;
  status(): Promise<SystemStatus>;
  metrics(): SystemMetrics;
  readiness(): { ready: boolean; reasons: readonly string[] };
  readonly workflows: WorkflowsPort;
  readonly agents: AgentsPort;
  readonly actors: ActorsPort;
  readonly live: LivePort;
  /** The newest report of a phase, as JSON and Markdown; undefined before the first. */
  phaseReport(workflowId: string): Promise<{ json: Json; markdown: string } | undefined>;
}

/** A request that the system refuses, with a stable code; `http/` turns it into problem details. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly code: "NOT_FOUND" | "INVALID" | "CONFLICT" | "UNAVAILABLE";
  /** JSON pointers of the invalid fields, with what is allowed there. */
  readonly fields: readonly { pointer: string; detail: string }[];

  constructor(
    code: RequestError["code"],
    message: string,
    fields: readonly { pointer: string; detail: string }[] = [],
  ) {
    super(message);
    this.code = code;
    this.fields = fields;
  }
}
