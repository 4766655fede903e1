/**
 * Deno's `Worker`: constructor, events, messages, lifetime and permissions as in Deno 2.9.
 * What Deno does not tell and a supervisor must know is under `spectra` and in the last members.
 * `docs/worker-conformance.md` lists where the two differ.
 *
 * @module
 */

import type { MessagePort, Transferable } from "node:worker_threads";
import { createDeferred } from "../../../machines/deferred.ts";
import type { ErrorRecord } from "../../../machines/error-code.ts";
import { childPermissions, type PermissionSet, permits } from "../../../machines/permissions.ts";
import { type Enforcement, enforcement } from "../permissions/enforcement.ts";
import type { Carrier, CarrierListener, Isolation, LoopFigures, WorkerFault } from "./carrier.ts";
import { DeliveredMessage, defineHandler, WorkerErrorEvent } from "./events.ts";
import { itemContext } from "./item-context.ts";
import { openCarrier } from "./open-carrier.ts";
import { currentRealm } from "./realm.ts";
import { blobAsData, rootOf } from "./root.ts";
import { resolveSpecifier } from "./specifier.ts";
import { transferList } from "./transfer.ts";

export interface SpectraOptions {
  /** Default: that of the maker, if it is a worker, else `thread`. */
  readonly isolation?: Isolation;
  /** Environment to grant from; the worker sees what its `env` permission names. Default: that of the maker, if it is a worker, else nothing. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Limit of the old generation in MiB. */
  readonly heapLimitMb?: number;
  /** Base of relative specifiers, as Deno's `--location`. */
  readonly location?: string;
  /** Permissions that the worker's are a part of, instead of its maker's. */
  readonly parentPermissions?: PermissionSet;
  /** Gets what the worker prints. Default: it goes where the maker's output goes. */
  readonly print?: (text: string, stream: "stdout" | "stderr") => void;
}

export interface WorkerOptions {
  /** Must be `module`: Deno has no classic workers. */
  readonly type?: "classic" | "module";
  readonly name?: string;
  readonly deno?: { readonly permissions?: unknown };
  readonly spectra?: SpectraOptions;
}

/** How a worker ended; told once, after its last message. */
export interface WorkerExit {
  readonly code: number;
  /** The error that ended it. */
  readonly fault?: WorkerFault;
  /** `terminate` was called before it ended. */
  readonly terminated: boolean;
}

type Status = "running" | "closed" | "terminated";

export class Worker extends EventTarget {
  declare onmessage: ((event: MessageEvent) => unknown) | null;
  declare onmessageerror: ((event: MessageEvent) => unknown) | null;
  declare onerror: ((event: ErrorEvent) => unknown) | null;
  readonly #carrier: Carrier;
  readonly #permissions: PermissionSet;
  readonly #exited = createDeferred<WorkerExit>();
  #status: Status = "running";
  #fault: WorkerFault | undefined;

  /**
   * @throws {DOMException} `NotSupportedError` for a classic worker.
   * @throws {TypeError | URIError | NotCapable} With Deno's texts.
   * @throws {AgentError} `ISOLATION_UNAVAILABLE`.
   */
  constructor(specifier: string | URL, options: WorkerOptions = {}) {
    super();
    const given = String(specifier);
    const { name, type = "classic", deno, spectra = {} } = options;
    warnUnsupported(options);
    checkType(type);
    const realm = currentRealm();
    const url = resolveSpecifier(given, spectra.location ?? realm.location);
    const permissions = childPermissions(
      spectra.parentPermissions ?? realm.permissions.current,
      deno?.permissions,
      itemContext(),
    );
    const shared = permissions === realm.permissions.current;
    const root =
      realm.nursery === undefined
        ? rootOf(url, spectra.parentPermissions ?? realm.permissions.current)
        : // Who starts it looks at it.
          blobAsData(url);
    const { heapLimitMb, print } = spectra;
    this.#permissions = permissions;
    this.#carrier = openCarrier(
      spectra.isolation ?? realm.isolation ?? "thread",
      {
        url,
        name: name === undefined ? "" : String(name),
        permissions,
        shared,
        env: grantedEnv(permissions, spectra.env ?? realm.env),
        ...(root === undefined ? {} : { root }),
        ...(heapLimitMb === undefined ? {} : { heapLimitMb }),
        ...(print === undefined ? {} : { print }),
      },
      this.#listener(),
    );
    Object.defineProperty(this, Symbol.toStringTag, { value: "Worker", configurable: true });
  }

  /** Does nothing once the worker has ended. @throws {DOMException} `DataCloneError`. */
  postMessage(
    message: unknown,
    transferOrOptions:
      | readonly Transferable[]
      | { readonly transfer?: readonly Transferable[] }
      | null = null,
  ): void {
    // biome-ignore lint/complexity/noArguments: `postMessage(undefined)` is a message, `postMessage()` an error.
    if (arguments.length === 0) {
      throw new TypeError(
        "Failed to execute 'postMessage' on 'MessagePort': 1 argument required, but only 0 present",
      );
    }
    if (this.#status !== "running") return;
    this.#carrier.post(message, transferList(transferOrOptions));
  }

  /** Ends the worker, a busy loop too. Returns at once; no event follows. */
  terminate(): void {
    if (this.#status === "terminated") return;
    this.#status = "terminated";
    // `exited` tells the end; a carrier's `terminate` does not reject.
    void this.#carrier.terminate();
  }

  /** Thread id, or process id; 0 until it is known, for a worker of a restricted thread. */
  get id(): number {
    return this.#carrier.id;
  }

  get isolation(): Isolation {
    return this.#carrier.isolation;
  }

  /** Resolves when the worker is gone, however it ended; never rejects. */
  get exited(): Promise<WorkerExit> {
    return this.#exited.promise;
  }

  /** The worker's own loop, as it was last measured. */
  figures(): LoopFigures {
    return this.#carrier.figures();
  }

  /** How strongly each permission holds where this worker runs. */
  enforcement(): Enforcement {
    return enforcement(this.#carrier.isolation, process.versions.node, this.#permissions);
  }

  /** The worker keeps the process alive, as at first. */
  ref(): void {
    this.#carrier.ref();
  }

  unref(): void {
    this.#carrier.unref();
  }

  #listener(): CarrierListener {
    return {
      message: (data, ports) => this.#deliver("message", data, ports),
      messageerror: (error) => this.#deliver("messageerror", error),
      narrowed: (permissions) => currentRealm().permissions.narrow(permissions),
      fault: (fault) => {
        this.#fault ??= fault;
        if (this.#status !== "running") return;
        this.#status = "closed";
        if (!tellError(this, fault)) {
          // As in Deno: who has a worker and no handler for its errors fails with it.
          const cause = errorOf(fault.error, fault.message);
          void Promise.reject(new Error("Unhandled error in child worker.", { cause }));
        }
      },
      exit: (code) => {
        const fault = this.#fault === undefined ? {} : { fault: this.#fault };
        const terminated = this.#status === "terminated";
        if (!terminated) this.#status = "closed";
        this.#exited.resolve({ code, terminated, ...fault });
      },
    };
  }

  #deliver(type: string, data: unknown, ports?: readonly MessagePort[]): void {
    if (this.#status === "terminated") return;
    super.dispatchEvent(new DeliveredMessage(type, data, ports));
  }
}

for (const type of ["message", "messageerror", "error"]) defineHandler(Worker.prototype, type);

function checkType(type: unknown): void {
  if (type === "module") return;
  if (type === "classic") {
    throw new DOMException("Classic workers are not supported.", "NotSupportedError");
  }
  throw new TypeError(
    `The provided value '${String(type)}' is not a valid enum value of type WorkerType`,
  );
}

function warnUnsupported(options: WorkerOptions): void {
  const unsupported = ["env", "workerData"].filter(
    (name) => Reflect.get(options, name) !== undefined,
  );
  if (unsupported.length === 0) return;
  console.warn(
    `Warning: ${unsupported.join(", ")} option(s) are not supported for web Workers and will be ignored. ` +
      "Use the node:worker_threads module instead.",
  );
}

function grantedEnv(
  permissions: PermissionSet,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const granted: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && permits(permissions, "env", name)) granted[name] = value;
  }
  return granted;
}

/** For who reads the trace; the record crossed a thread or a process. */
function errorOf(record: ErrorRecord, title = `${record.name}: ${record.message}`): Error {
  const options = record.cause === undefined ? {} : { cause: errorOf(record.cause) };
  const [, ...frames] = (record.stack ?? "").split("\n");
  return Object.assign(new Error(record.message, options), {
    name: record.name,
    stack: [title, ...frames.filter((line) => line.startsWith("    at "))].join("\n"),
  });
}

/** Whether someone has taken care of it. An error of the module's code also reaches the maker's global scope. */
function tellError(worker: Worker, { message, filename, lineno, colno }: WorkerFault): boolean {
  const init = { cancelable: true, message, filename, lineno, colno, error: null };
  const told = (target: EventTarget): boolean =>
    !EventTarget.prototype.dispatchEvent.call(target, new WorkerErrorEvent("error", init));
  if (told(worker)) return true;
  // Node's main thread has no global event target.
  const scope: unknown = globalThis;
  return filename !== "" && scope instanceof EventTarget && told(scope);
}
