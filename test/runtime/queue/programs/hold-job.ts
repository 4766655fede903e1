/**
 * A process that takes one job from a queue, says so, and never ends it: the test kills it.
 *
 * @module
 */

import { openJobQueue, type QueueBackend } from "../../../../runtime/queue/job-queue.ts";

const [name = "", backend = ""] = process.argv.slice(2);
const silent = () => undefined;

await openJobQueue({
  name,
  backend: JSON.parse(backend) as QueueBackend,
  concurrency: 1,
  log: { debug: silent, info: silent, warn: silent, error: silent },
  process: (job) => {
    console.log(JSON.stringify(job));
    return new Promise(silent);
  },
});
console.log(JSON.stringify({ open: true }));
