/**
 * The bridge to Stately's inspector as a child of the tree, where it is asked for.
 *
 * @module
 */

import type { ChildSpec } from "../../actors/tree/child-spec.ts";
import { untilStopped } from "../node-children.ts";
import { openStatelyBridge } from "../worker/inspect/stately-bridge.ts";
import type { NodeContext } from "./context.ts";

export function inspectorChildren({ config, inspection, log, parts }: NodeContext): ChildSpec[] {
  if (!config.inspector) return [];
  const start = async () => {
    const bridge = await openStatelyBridge({
      hub: inspection,
      port: 0,
      onError: (message) => log.warn(message),
    });
    parts.inspector.set(bridge);
    return untilStopped(() => bridge.close());
  };
  // A node that works must not fall for an instrument.
  return [{ id: "inspector", restart: "temporary", start }];
}
