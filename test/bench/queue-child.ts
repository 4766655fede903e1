/**
 * A process that takes one job and holds it until it is killed.
 *
 * @module
 */

import { openJobQueue, type QueueBackend } from "../../runtime/queue/job-queue.ts";

const [name = "", backend = "{}"] = process.argv.slice(2);
const quiet = () => undefined;
const queue = await openJobQueue({
  name,
  backend: JSON.parse(backend) as QueueBackend,
  concurrency: 1,
  log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  process: async () => {
    console.log("taken");
    await new Promise(() => undefined);
  },
});
await queue.add([{ workflowId: "bench", taskKey: "held", attempt: 1, priority: 3 }]);
