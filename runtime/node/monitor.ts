/**
 * The monitor of a node: measures it once a second and tells the live stream.
 *
 * @module
 */

import type { ChildSpec } from "../../actors/tree/child-spec.ts";
import { startMonitor } from "../monitor.ts";
import { untilStopped } from "../node-children.ts";
import type { NodeContext } from "./context.ts";

export function monitorChild({ live, parts }: NodeContext): ChildSpec {
  return {
    id: "monitor",
    start: async () => {
      const monitor = startMonitor((metrics) => live.emit(["system"], { type: "system", metrics }));
      parts.monitor.set(monitor);
      return untilStopped(() => monitor.stop());
    },
  };
}
