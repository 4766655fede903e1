/**
 * When this process must stop, and with which exit code: signals, fatal errors, lost parts.
 * It only tells; the command that runs does the stopping, in its own order.
 *
 * @module
 */

/** Stopping takes at most this long; then the process ends with whatever is left. */
export const STOP_DEADLINE_MS = 10_000;

export interface StopRequest {
  /** For people: `SIGINT`, or what was lost. */
  readonly reason: string;
  /** 128 + number of the signal, or 1 for an error. */
  readonly exitCode: number;
  /** Set when an error is the reason. */
  readonly error?: unknown;
}

export interface StopWatch {
  /** Resolves once, with the first request. */
  readonly requested: Promise<StopRequest>;
  /** Aborted at the same moment. */
  readonly signal: AbortSignal;
  request(stop: StopRequest): void;
  /** Takes the handlers off the process. */
  dispose(): void;
}

const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type StopSignal = keyof typeof exitCodes;

export interface StopWatchOptions {
  /** Hears of everything after the first request too, such as a second fatal error. */
  readonly onRequest: (stop: StopRequest, first: boolean) => void;
}

/** Installs the handlers. A second signal, or the deadline after the first request, ends the process at once. */
export function watchForStop({ onRequest }: StopWatchOptions): StopWatch {
  const controller = new AbortController();
  let resolve: (stop: StopRequest) => void = () => undefined;
  const requested = new Promise<StopRequest>((settle) => {
    resolve = settle;
  });
  const request = (stop: StopRequest): void => {
    const first = !controller.signal.aborted;
    onRequest(stop, first);
    if (!first) return;
    // Unreferenced: a stop that is done earlier ends the process earlier.
    setTimeout(() => process.exit(stop.exitCode), STOP_DEADLINE_MS).unref();
    controller.abort(new Error(`stopping: ${stop.reason}`));
    resolve(stop);
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    const exitCode = exitCodes[signal as StopSignal];
    if (controller.signal.aborted) process.exit(exitCode);
    request({ reason: signal, exitCode });
  };
  const onFatal = (error: unknown): void =>
    request({ reason: "a fatal error", exitCode: 1, error });
  const signals = Object.keys(exitCodes) as StopSignal[];
  for (const signal of signals) process.on(signal, onSignal);
  process.on("uncaughtException", onFatal);
  process.on("unhandledRejection", onFatal);
  return {
    requested,
    signal: controller.signal,
    request,
    dispose: () => {
      for (const signal of signals) process.off(signal, onSignal);
      process.off("uncaughtException", onFatal);
      process.off("unhandledRejection", onFatal);
    },
  };
}
