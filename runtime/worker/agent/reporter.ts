/**
 * What a worker reports to the main thread. A report that finds no room is left out and counted:
 * an action that logs without end must neither wait nor fail for it.
 *
 * @module
 */

import type { EventChannel } from "../remote/event-channel.ts";
import type { Reports } from "./thread-protocol.ts";

export interface Reporter {
  report<Kind extends keyof Reports>(kind: Kind, body: Reports[Kind]): void;
  /** Posts what waits; returns the number of the newest report. */
  flush(): number;
}

export function createReporter(channel: EventChannel): Reporter {
  let newest = 0;
  let leftOut = 0;
  const send = (kind: string, body: unknown): boolean => {
    try {
      newest = channel.send(kind, body);
      return true;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "CHANNEL_FULL") throw error;
      return false;
    }
  };
  return {
    report: (kind, body) => {
      if (leftOut > 0) {
        const fields = { leftOut };
        if (send("log", { level: "warn", message: "reports were left out", fields })) leftOut = 0;
      }
      if (leftOut > 0 || !send(kind, body)) leftOut += 1;
    },
    flush: () => {
      channel.flush();
      return newest;
    },
  };
}
