/**
 * Main module of a worker's process: the worker is a thread in it.
 *
 * @module
 */

import type { Transferable } from "node:worker_threads";
import { openThread } from "../thread-carrier.ts";
import { serveHost } from "./host-relay.ts";

serveHost({
  open: ({ root, ...options }, listener, prepare) => {
    const thread = openThread(
      { ...options, ...(root === undefined ? {} : { root: Promise.resolve(root) }) },
      {
        message: (data, ports) =>
          listener.message({ data, ports: ports as unknown as MessagePort[] }),
        messageerror: listener.messageerror,
        narrowed: listener.narrowed,
        fault: listener.fault,
        exit: listener.exit,
      },
      prepare,
    );
    return {
      post: ({ data, ports }) => thread.post(data, ports as unknown as Transferable[]),
      figures: () => thread.figures(),
    };
  },
  end: (code) => {
    // The whole group, at once: `exit` would wait for a thread that is stuck in native code, and
    // what the worker has started must not outlive it.
    if (code !== 0) process.kill(-process.pid, "SIGKILL");
    process.exit(code);
  },
});
