/**
 * A node of its own that starts a run and never ends the task called `hold`: the test kills it.
 *
 * @module
 */

import type { Json } from "../../../../machines/error-code.ts";
import { openTestHost } from "../../../support/workflow-host.ts";

const [url = "", migrations = "", workflow = ""] = process.argv.slice(2);

const node = await openTestHost({
  url,
  nodeId: "node-child",
  migrations,
  runAgent: async ({ taskKey }) => {
    if (taskKey !== "hold") return { type: "succeeded", output: taskKey };
    console.log(JSON.stringify({ holds: taskKey }));
    return await new Promise(() => undefined);
  },
});
const { id } = await node.workflows.start(
  { workflow: JSON.parse(workflow) as Json },
  { actor: "test" },
);
console.log(JSON.stringify({ id, incarnation: node.host.incarnation }));
