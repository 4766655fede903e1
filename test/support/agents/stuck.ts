/**
 * An agent whose module never finishes loading in a thread.
 *
 * @module
 */

import { isMainThread } from "node:worker_threads";
import { defineAgent } from "../../../actors/define-agent.ts";

export const stuck = defineAgent({
  name: "STUCK",
  category: "test",
  description: "Never gets ready.",
  skills: [],
  concurrency: 1,
  resources: { cpu: 0.1, memoryMb: 64 },
  permissions: {},
  dependsOn: [],
  capabilities: {},
});

if (!isMainThread) await new Promise(() => undefined);
