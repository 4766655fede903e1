/**
 * Deno's events where Node has none, and trusted ones where Node's cannot be made trusted.
 *
 * @module
 */

import type { MessagePort } from "node:worker_threads";

/** Node trusts an event whose options have a private symbol set; this has every symbol set. */
function trusted(options: EventInit): EventInit {
  return new Proxy(options, {
    get: (target, key) => (typeof key === "symbol" ? true : Reflect.get(target, key)),
  });
}

/** `event instanceof globalThis[name]`, without its constructor. */
function adopt(prototype: Event, name: string): void {
  const native: unknown = Reflect.get(globalThis, name);
  if (typeof native === "function") Object.setPrototypeOf(prototype, native.prototype);
}

const noPorts: readonly MessagePort[] = Object.freeze([]);

/** A trusted `message` or `messageerror`. */
export class DeliveredMessage extends Event {
  readonly #data: unknown;
  readonly #ports: readonly MessagePort[];

  constructor(type: string, data: unknown, ports: readonly MessagePort[] = noPorts) {
    super(type, trusted({ cancelable: false }));
    this.#data = data;
    this.#ports = ports.length === 0 ? noPorts : Object.freeze([...ports]);
  }
  get data(): unknown {
    return this.#data;
  }
  get ports(): readonly MessagePort[] {
    return this.#ports;
  }
  get origin(): string {
    return "";
  }
  get lastEventId(): string {
    return "";
  }
  get source(): null {
    return null;
  }
  get [Symbol.toStringTag](): string {
    return "MessageEvent";
  }
}
adopt(DeliveredMessage.prototype, "MessageEvent");

export interface ErrorEventOptions extends EventInit {
  readonly message?: string;
  readonly filename?: string;
  readonly lineno?: number;
  readonly colno?: number;
  readonly error?: unknown;
}

/** Node has no `ErrorEvent` before 26. */
export class WorkerErrorEvent extends Event {
  readonly #init: ErrorEventOptions;

  constructor(type: string, init: ErrorEventOptions = {}) {
    super(type, init);
    this.#init = init;
  }
  get message(): string {
    return this.#init.message ?? "";
  }
  get filename(): string {
    return this.#init.filename ?? "";
  }
  get lineno(): number {
    return this.#init.lineno ?? 0;
  }
  get colno(): number {
    return this.#init.colno ?? 0;
  }
  get error(): unknown {
    return this.#init.error;
  }
  get [Symbol.toStringTag](): string {
    return "ErrorEvent";
  }
}
adopt(WorkerErrorEvent.prototype, "ErrorEvent");

export interface RejectionEventOptions extends EventInit {
  readonly promise: Promise<unknown>;
  readonly reason?: unknown;
}

export class WorkerRejectionEvent extends Event {
  readonly promise: Promise<unknown>;
  readonly reason: unknown;

  constructor(type: string, init: RejectionEventOptions) {
    super(type, init);
    this.promise = init.promise;
    this.reason = init.reason;
  }
  get [Symbol.toStringTag](): string {
    return "PromiseRejectionEvent";
  }
}

type Handler = (this: EventTarget, event: Event) => unknown;

/** How an `on…` attribute calls what was assigned to it. */
export type CallHandler = (target: EventTarget, handler: Handler, event: Event) => unknown;

const callWithEvent: CallHandler = (target, handler, event) =>
  Reflect.apply(handler, target, [event]);

/**
 * Defines the attribute `on<type>`: one slot among the listeners, taken when it is first set and
 * kept when it is set again. What is not a function becomes null.
 */
export function defineHandler(
  owner: object,
  type: string,
  call: CallHandler = callWithEvent,
  self?: EventTarget,
): void {
  const slots = new WeakMap<EventTarget, { handler: Handler | null }>();
  Object.defineProperty(owner, `on${type}`, {
    configurable: true,
    enumerable: true,
    get(this: EventTarget | undefined) {
      return slots.get(self ?? this ?? globalThis)?.handler ?? null;
    },
    set(this: EventTarget | undefined, value: unknown) {
      const target = self ?? this ?? globalThis;
      const handler = typeof value === "function" ? (value as Handler) : null;
      const slot = slots.get(target);
      if (slot !== undefined) {
        slot.handler = handler;
        return;
      }
      const created = { handler };
      slots.set(target, created);
      target.addEventListener(type, (event) => {
        if (created.handler !== null) call(target, created.handler, event);
      });
    },
  });
}
