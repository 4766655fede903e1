/**
 * Starts a server so that it cannot outlive this process.
 *
 * Between us and the server stands a shell that reads a pipe from us. When the pipe closes,
 * because we close it or because we were killed, the shell shuts the server down. Shell and server
 * are in a session of their own, so Ctrl-C in our terminal does not reach them.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { type Account, childOptions } from "./folders.ts";

/** After this many seconds of fast shutdown, the guard orders an immediate one. */
const FAST_SHUTDOWN_LIMIT_SECONDS = 10;

const SCRIPT = `
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{
  while read -r line <&3; do :; done
  left=${FAST_SHUTDOWN_LIMIT_SECONDS}
  # Again every second: a signal sent before the server listens for it is lost.
  while [ $left -gt 0 ] && kill -INT $server 2>/dev/null; do sleep 1 >/dev/null 2>&1 3<&-; left=$((left - 1)); done
  kill -QUIT $server 2>/dev/null
} &
watcher=$!
exec 3<&-
wait $server
status=$?
kill $watcher 2>/dev/null
exit $status
`;

export interface GuardedProcess {
  /** Ends with the server, with its exit code; 128 + n if signal n ended the server. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Closes the pipe: fast shutdown, immediate after a limit. Returns at once. */
  shutDown(): void;
  /** Ends guard and server by force. */
  kill(): void;
}

/** @param logFd Receives everything that the server prints; ours to close. */
export function startGuarded(
  program: string,
  args: readonly string[],
  account: Account,
  logFd: number,
): GuardedProcess {
  const child: ChildProcess = spawn("/bin/sh", ["-c", SCRIPT, "spectra-guard", program, ...args], {
    ...childOptions(account),
    stdio: ["pipe", logFd, logFd],
    detached: true,
  });
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", () => resolve({ code: 127, signal: null }));
  });
  // Writing nothing, we hear of the guard's end through `exit`; a broken pipe adds nothing.
  child.stdin?.on("error", () => undefined);
  return {
    exited,
    shutDown: () => child.stdin?.end(),
    kill: () => {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      // The whole group: guard and server.
      process.kill(-child.pid, "SIGKILL");
    },
  };
}
