/**
 * What crosses the capability port: a restricted worker asks, its maker judges and does.
 *
 *     worker                                maker (never the worker's own code)
 *     requestCapability("run", …)  ──port──▶  openBroker(port, services): service("run")(request, channel)
 *            ◀────────── channel: one MessagePort per capability ──────────▶
 *
 * The port gives nothing by itself: whoever forges a message on it gets what the worker's permissions
 * grant, and no more. A capability is its channel; whoever closes it, or dies, ends what it stands for.
 *
 * @module
 */

import type { MessagePort } from "node:worker_threads";
import type { PermissionSet } from "../../../machines/permissions.ts";

export type BrokerFrame =
  | {
      readonly type: "request";
      readonly service: string;
      /** Not to be trusted: each service checks its own. */
      readonly request: unknown;
      readonly channel: MessagePort;
      /** Counts what was posted on `channel`, for who waits synchronously. Four bytes. */
      readonly wake: SharedArrayBuffer;
    }
  /** The worker has given something up. */
  | { readonly type: "narrow"; readonly permissions: PermissionSet };

/** First answer on a channel that is not opened; it is closed then. */
export interface Refusal {
  readonly type: "refused";
  readonly name: string;
  readonly code: string;
  readonly message: string;
  /** Further fields of the error, as Node's `errno`, `syscall` and `path`. */
  readonly fields?: Readonly<Record<string, string | number>>;
}

export function isRefusal(answer: unknown): answer is Refusal {
  return (
    typeof answer === "object" &&
    answer !== null &&
    (answer as { type?: unknown }).type === "refused"
  );
}
