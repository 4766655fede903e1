/**
 * What a supervisor needs to know of a child. Source: Erlang/OTP child specifications.
 *
 * @module
 */

import type { AnyActorRef } from "xstate";
import { faultsOfSpecs, type SpecsToCheck } from "../../machines/child-spec-check.ts";
import type { ChildExit, ChildFacts, Shutdown } from "../../machines/child-table.ts";
import { AgentError, type ErrorRecord } from "../../machines/error-code.ts";
import type {
  AutoShutdown,
  Intensity,
  Restart,
  Strategy,
  Verdict,
} from "../../machines/restart-policy.ts";
import type { IncidentLog } from "../ports.ts";
import type { Directory } from "./directory.ts";
import type { RestartBudget } from "./restart-budget.ts";
import type { RestartMemory } from "./restart-memory.ts";

const workerShutdownMs = 5_000;
/** OTP waits for ever; a node must end some time. */
const supervisorShutdownMs = 60_000;

/** A node of the supervision tree, for people. Same shape as `TreeView` of the system facade. */
export interface TreeNode {
  readonly id: string;
  readonly kind: "supervisor" | "worker";
  /** Path from the root: `/root/agents/DIRECTOR`; a supervisor fills it in for its children. */
  readonly address?: string;
  readonly strategy?: Strategy;
  /** Of a supervisor. */
  readonly intensity?: Intensity;
  readonly autoShutdown?: AutoShutdown;
  /** How its supervisor treats its end; absent for the root. */
  readonly restart?: Restart;
  readonly significant?: boolean;
  readonly status: string;
  readonly restarts: number;
  /** Why it last ended abnormally; null when it never did. */
  readonly lastError?: ErrorRecord | null;
  readonly children: readonly TreeNode[];
}

/** A child that runs. A supervisor is one itself, so trees nest. */
export interface RunningChild {
  /** Settles once, when the child is gone; never rejects. */
  readonly exited: Promise<ChildExit>;
  /** Asks it to end; resolves when it is gone. The supervisor waits `shutdownMs` for that. */
  stop(): Promise<void>;
  /** Ends it at once. Without this a child that does not stop in time is reported and left behind. */
  kill?(): Promise<void>;
  /** Takes an event that was sent to its address; must not throw. */
  receive?(event: unknown): void;
  /** Its own subtree, where it is a supervisor. */
  view?(): TreeNode;
}

/** What all supervisors of one tree share. */
export interface TreeServices {
  /** Who lives where: links, monitors, and events that wait for a restart. */
  readonly directory?: Directory;
  /** Restarts that the whole tree may take; beyond them every supervisor gives up. */
  readonly budget?: RestartBudget | undefined;
  /** Keeps restarts over the death of the process. */
  readonly memory?: RestartMemory;
  /** Gets what went wrong with children, and what was done about it. */
  readonly incidents?: IncidentLog | undefined;
  /** Told of each supervisor's statechart, for inspection; the result is called when it has ended. */
  readonly watch?: (actor: AnyActorRef, address: string) => () => void;
}

/** Where a child stands; a supervisor passes it on to `startSupervisor`. */
export interface ChildPlace {
  readonly address: string;
  readonly tree: TreeServices;
}

export interface ChildSpec {
  /** Unique among siblings. */
  readonly id: string;
  /**
   * Resolves when the child is ready for its later siblings; must itself be bounded in time.
   * `ignore`: there is nothing to run, and that is no error.
   */
  start(place: ChildPlace): Promise<RunningChild | "ignore">;
  /** Default `permanent`. */
  readonly restart?: Restart;
  /** Default 5,000 for workers; supervisors wait for their own children: 60,000. */
  readonly shutdownMs?: Shutdown;
  /** Default `worker`. */
  readonly type?: "worker" | "supervisor";
  /** Its end, by itself, counts for the supervisor's `autoShutdown`. Default false. */
  readonly significant?: boolean;
  /** Asked when a child that would be restarted ends with an error; must not throw. Default `restart`. */
  onError?(error: ErrorRecord): Verdict;
}

/** The spec with every default filled in, as the machine takes it. */
export function factsOf(spec: ChildSpec): ChildFacts {
  const { id, restart = "permanent", significant = false, type = "worker" } = spec;
  const shutdownMs = type === "supervisor" ? supervisorShutdownMs : workerShutdownMs;
  return { id, restart, type, shutdown: spec.shutdownMs ?? shutdownMs, significant };
}

/**
 * Types prove nothing to callers in JavaScript, so `specs` may be anything.
 * @returns Them with their defaults.
 * @throws {AgentError} `CHILD_SPECS_INVALID`, with every fault in its message.
 */
export function checkSpecs(
  supervisor: string,
  rules: Omit<SpecsToCheck, "children">,
  specs: readonly ChildSpec[],
): readonly ChildFacts[] {
  const facts = specs.map((spec) => factsOf(Object(spec)));
  const children = facts.map((child, index) => ({
    ...child,
    canStart: typeof Object(specs[index]).start === "function",
  }));
  const faults = faultsOfSpecs({ ...rules, children });
  if (faults.length === 0) return facts;
  const message = `Cannot use the specs of supervisor "${supervisor}": ${faults.join("; ")}`;
  throw new AgentError("CHILD_SPECS_INVALID", message);
}
