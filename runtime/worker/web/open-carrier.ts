/**
 * Which carrier carries which isolation.
 *
 * @module
 */

import { AgentError } from "../../../machines/error-code.ts";
import type {
  Carrier,
  CarrierListener,
  CarrierOptions,
  Isolation,
  OpenCarrier,
} from "./carrier.ts";
import { openDeno } from "./carriers/deno-carrier.ts";
import { openProcess } from "./carriers/process-carrier.ts";
import { nestedOpener, refuseProcess } from "./nested.ts";
import { currentRealm } from "./realm.ts";
import { openThread } from "./thread-carrier.ts";

const carriers: Readonly<Partial<Record<Isolation, OpenCarrier>>> = {
  thread: openThread,
  process: openProcess,
  deno: openDeno,
};

/** @throws {AgentError} `ISOLATION_UNAVAILABLE` where this machine lacks what the carrier needs. */
export function openCarrier(
  isolation: Isolation,
  options: CarrierOptions,
  listener: CarrierListener,
): Carrier {
  const open = carriers[isolation];
  if (open === undefined) {
    throw new AgentError(
      "ISOLATION_UNAVAILABLE",
      `Cannot start worker "${options.url}": there is no isolation "${isolation}", use one of ${Object.keys(carriers).join(", ")}`,
    );
  }
  const { nursery } = currentRealm();
  if (nursery === undefined) return open(options, listener);
  if (isolation !== "thread") return refuseProcess(isolation, options.url);
  return nestedOpener(nursery)(options, listener);
}
