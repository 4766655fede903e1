/**
 * An agent whose module throws in a thread: it can never start.
 *
 * @module
 */

import { isMainThread } from "node:worker_threads";
import { defineAgent } from "../../../actors/define-agent.ts";

if (!isMainThread) throw new Error("this module cannot load");

export const broken = defineAgent({
  name: "BROKEN",
  category: "test",
  description: "Cannot start.",
  skills: [],
  concurrency: 1,
  resources: { cpu: 0.1, memoryMb: 64 },
  permissions: {},
  dependsOn: [],
  capabilities: {},
});
