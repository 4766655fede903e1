/**
 * Children of a node's supervision tree that wrap something which is no actor itself.
 *
 * @module
 */

import type { Log } from "../actors/ports.ts";
import type { RunningChild } from "../actors/tree/child-spec.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../native/embedded-postgres.ts";

export interface PostgresChild {
  readonly server: EmbeddedPostgres;
  readonly child: RunningChild;
}

/** Starts the embedded server as a child that exits abnormally when the server ends by itself. */
export async function startPostgres(dataDir: string, log: Log): Promise<PostgresChild> {
  const server = await startEmbeddedPostgres({ dataDir, log });
  const exited = server.exited.then(({ code, expected, logTail }) => {
    if (expected) return { type: "normal" } as const;
    const last = logTail.trim().split("\n").at(-1) ?? "";
    return {
      type: "abnormal",
      error: {
        name: "PostgresExit",
        code: "POSTGRES_EXITED",
        message: `Cannot keep PostgreSQL running: it ended with code ${code}: ${last}`,
        retryable: true,
      },
    } as const;
  });
  return { server, child: { exited, stop: () => server.stop(), kill: () => server.kill() } };
}

/** The start function of a child whose first incarnation runs already. */
export function firstThen(
  first: RunningChild,
  startAgain: () => Promise<RunningChild>,
): () => Promise<RunningChild> {
  let isFirst = true;
  return async () => {
    if (!isFirst) return await startAgain();
    isFirst = false;
    return first;
  };
}

/** A child that only ends when it is told to. */
export function untilStopped(stop: () => Promise<void>): RunningChild {
  let exit: () => void = () => undefined;
  const exited = new Promise<{ type: "normal" }>((resolve) => {
    exit = () => resolve({ type: "normal" });
  });
  return {
    exited,
    stop: async () => {
      await stop();
      exit();
    },
  };
}
