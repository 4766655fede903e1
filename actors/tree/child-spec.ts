/**
 * What a supervisor needs to know of a child. Source: Erlang/OTP child specifications.
 *
 * @module
 */

import type { ChildExit } from "../../machines/child-table.ts";
import type { Restart } from "../../machines/restart-policy.ts";

/** A node of the supervision tree, for people. Same shape as `TreeView` of the system facade. */
export interface TreeNode {
  readonly id: string;
  readonly kind: "supervisor" | "worker";
  readonly strategy?: "one_for_one" | "one_for_all" | "rest_for_one";
  readonly status: string;
  readonly restarts: number;
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
  /** Its own subtree, where it is a supervisor. */
  view?(): TreeNode;
}

export interface ChildSpec {
  /** Unique among siblings. */
  readonly id: string;
  /** Resolves when the child is ready for its later siblings; must itself be bounded in time. */
  start(): Promise<RunningChild>;
  /** Default `permanent`. */
  readonly restart?: Restart;
  /** Default 5,000 for workers; supervisors wait for their own children: 60,000. */
  readonly shutdownMs?: number;
  /** Default `worker`. */
  readonly type?: "worker" | "supervisor";
}
