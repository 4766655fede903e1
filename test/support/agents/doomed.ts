/**
 * An agent that starts, and dies soon after, every time.
 *
 * @module
 */

import { isMainThread } from "node:worker_threads";
import { defineAgent } from "../../../actors/define-agent.ts";

if (!isMainThread) {
  setTimeout(() => {
    throw new Error("this agent cannot live");
  }, 20);
}

export const doomed = defineAgent({
  name: "DOOMED",
  category: "test",
  description: "Dies soon after each start.",
  skills: [],
  concurrency: 1,
  resources: { cpu: 0.1, memoryMb: 64 },
  permissions: {},
  dependsOn: [],
  capabilities: {},
});
