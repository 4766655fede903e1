/**
 * One request and its response on uWebSockets.js, as web standard objects.
 *
 * The native request lives on the stack of the handler, and the native response is gone once
 * `onAborted` ran: touching either later ends the process. So everything is copied first, and
 * `aborted` is looked at after every wait.
 *
 * @module
 */

import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { STATUS_CODES } from "node:http";
import { HOP_HEADERS, type HostSettings, problemResponse } from "./http-host.ts";

/** Unread request body in memory, at most; then the client is paused. */
const BODY_BUFFER_BYTES = 256 * 1024;
/** One write, at most, so that a slow but living reader shows progress within the stall limit. */
const WRITE_BYTES = 64 * 1024;

export interface Exchange {
  readonly res: HttpResponse;
  readonly settings: HostSettings;
  /** Undefined if the request cannot be expressed as one, such as with a malformed host. */
  readonly request: Request | undefined;
  readonly method: string;
  /** The client asked for `connection: close`. Answers without a body leave the closing to it. */
  readonly closing: boolean;
  readonly remoteAddress: string;
  /** The response must not be touched any more. */
  isOver(): boolean;
  /** The headers have been written. */
  isStreaming(): boolean;
  /** Aborts `request.signal` and leaves the response alone. */
  abortSignal(): void;
  /** Cuts the connection. */
  cut(): void;
}

interface ExchangeState extends Exchange {
  over: boolean;
  streaming: boolean;
  /** Called by `onWritable` and by `onAborted`. */
  wake: (() => void) | undefined;
  /** Lets the rest of the request body pass by unread, so that the connection stays usable. */
  releaseBody: () => void;
}

/** Copies the request; call it synchronously in the route's handler, before anything else. */
export function beginExchange(
  res: HttpResponse,
  req: HttpRequest,
  settings: HostSettings,
): Exchange {
  const abort = new AbortController();
  const method = req.getCaseSensitiveMethod().toUpperCase();
  const remoteAddress = Buffer.from(res.getRemoteAddressAsText()).toString();
  let failBody: ((error: Error) => void) | undefined;
  const state: Omit<ExchangeState, "request"> & { request: Request | undefined } = {
    res,
    settings,
    method,
    closing: req.getHeader("connection").toLowerCase() === "close",
    remoteAddress,
    request: undefined,
    over: false,
    streaming: false,
    wake: undefined,
    releaseBody: () => undefined,
    isOver: () => state.over,
    isStreaming: () => state.streaming,
    abortSignal: () => abort.abort(),
    cut: () => {
      if (!state.over) res.close();
    },
  };
  res.onAborted(() => {
    state.over = true;
    const reason = new DOMException("The client closed the connection", "AbortError");
    abort.abort(reason);
    failBody?.(reason);
    state.wake?.();
  });
  res.onWritable(() => {
    state.wake?.();
    return true;
  });
  const head = copyHead(req);
  if (head === undefined) return state;
  const takesBody = method !== "GET" && method !== "HEAD" && announcesBody(head.headers);
  const body = takesBody ? readBody(state, (fail) => (failBody = fail)) : null;
  state.request = toRequest(method, head, body, abort.signal);
  return state;
}

/** Sends a response, once; on one that cannot be sent any more, only cancels its body. */
export async function sendResponse(exchange: Exchange, response: Response): Promise<void> {
  const state = exchange as ExchangeState;
  if (state.over || state.streaming) {
    // A body that is locked is read by the application itself.
    if (response.body?.locked === false) await cancel(state, response.body.getReader());
    return;
  }
  if (exchange.method === "HEAD" || response.body === null) {
    await response.body?.cancel();
    endWithoutBody(state, response);
    return;
  }
  await sendBody(state, response, response.body.getReader());
}

interface RequestHead {
  readonly url: string;
  readonly headers: Headers;
}

function copyHead(req: HttpRequest): RequestHead | undefined {
  const headers = new Headers();
  const path = req.getUrl();
  // Declared as a string, but undefined where there is none.
  const query = (req.getQuery() as string | undefined) ?? "";
  let valid = path.startsWith("/");
  req.forEach((name, value) => {
    try {
      headers.append(name, value);
    } catch {
      // The parser lets through some values that the standard forbids.
      valid = false;
    }
  });
  const url = `http://${headers.get("host") ?? "localhost"}${path}${query === "" ? "" : `?${query}`}`;
  return valid && URL.canParse(url) ? { url, headers } : undefined;
}

function announcesBody(headers: Headers): boolean {
  return headers.has("transfer-encoding") || Number(headers.get("content-length") ?? 0) > 0;
}

function toRequest(
  method: string,
  head: RequestHead,
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
): Request | undefined {
  try {
    const init = { method, headers: head.headers, body, signal, duplex: "half" };
    return new Request(head.url, init);
  } catch {
    // Such as the method TRACE, which the standard forbids.
    return undefined;
  }
}

/** The request body as a stream; over the limit, 413 is sent and the stream fails. */
function readBody(
  state: Omit<ExchangeState, "request">,
  onFail: (fail: (error: Error) => void) => void,
): ReadableStream<Uint8Array> {
  const { res, settings } = state;
  let receivedBytes = 0;
  let paused = false;
  let ended = false;
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        const fail = (error: Error) => {
          if (ended) return;
          ended = true;
          controller.error(error);
        };
        onFail(fail);
        state.releaseBody = () => {
          ended = true;
          if (paused) res.resume();
          paused = false;
        };
        res.onData((chunk, isLast) => {
          receivedBytes += chunk.byteLength;
          if (ended || state.over) return;
          if (receivedBytes > settings.limits.maxBodyBytes) {
            fail(new Error("The request body is over the limit"));
            refuseBody(state);
            return;
          }
          // The memory is the server's again when this returns.
          if (chunk.byteLength > 0) controller.enqueue(new Uint8Array(chunk.slice(0)));
          if (isLast) {
            ended = true;
            controller.close();
          } else if ((controller.desiredSize ?? 0) <= 0) {
            paused = true;
            res.pause();
          }
        });
      },
      pull: () => {
        if (!paused || state.over) return;
        paused = false;
        res.resume();
      },
      cancel: () => {
        if (!state.over) state.releaseBody();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: BODY_BUFFER_BYTES }),
  );
}

/** The handler may be waiting for the rest of the body, so the host answers by itself. */
function refuseBody(state: Omit<ExchangeState, "request">): void {
  if (state.over || state.streaming) return;
  const { status, headers } = problemResponse(413);
  state.over = true;
  state.res.cork(() => {
    writeHead(state.res, status, headers);
    state.res.end(
      JSON.stringify({ type: "about:blank", title: STATUS_CODES[status], status }),
      true,
    );
  });
}

function endWithoutBody(state: ExchangeState, response: Response): void {
  const { res } = state;
  const length = response.headers.get("content-length");
  const bodiless = response.status === 204 || response.status === 304;
  finish(state);
  res.cork(() => {
    writeHead(res, response.status, response.headers);
    // With `undefined` for a length the library would write a nonsensical one.
    if (state.method === "HEAD" && length !== null) res.endWithoutBody(Number(length));
    else if (state.method === "HEAD" || bodiless) res.endWithoutBody();
    else res.end("", state.closing);
  });
}

type Chunk = ReadableStreamReadResult<Uint8Array>;

async function sendBody(
  state: ExchangeState,
  response: Response,
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<void> {
  const { res } = state;
  // A body of known length is there within this turn, and goes out in one piece with its length.
  const whole = await readSoon(reader);
  if (whole.type === "failed") {
    state.settings.onError(whole.error);
    return sendResponse(state, problemResponse(500));
  }
  if (state.over) return cancel(state, reader);
  if (whole.type === "whole") {
    finish(state);
    res.cork(() => {
      writeHead(res, response.status, response.headers);
      res.end(whole.bytes, state.closing);
    });
    return;
  }
  state.streaming = true;
  const isEvents = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
  res.cork(() => {
    writeHead(res, response.status, response.headers);
    // The library sends the headers with the first bytes only; a comment keeps no client waiting.
    if (whole.first === undefined && isEvents) res.write(":\n\n");
  });
  try {
    if (whole.first === undefined || (await writeAll(state, whole.first))) {
      await pump(state, reader, whole.next);
    }
  } catch (error) {
    // The headers are out, so a broken connection is the only way to say it.
    // What the application throws because its reader left is no news.
    if (!state.over) state.settings.onError(error);
    state.cut();
  }
  if (state.over) await cancel(state, reader);
  else endStream(state);
}

type Beginning =
  | { readonly type: "whole"; readonly bytes: Uint8Array }
  | {
      readonly type: "stream";
      readonly first: Uint8Array | undefined;
      readonly next: Promise<Chunk>;
    }
  | { readonly type: "failed"; readonly error: unknown };

/** What the body gives within this turn of the event loop: all of it, a first chunk, or nothing. */
async function readSoon(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Beginning> {
  const turn = nextTurn();
  const next = reader.read();
  next.catch(() => undefined);
  try {
    const first = await Promise.race([next, turn]);
    if (first === undefined) return { type: "stream", first: undefined, next };
    if (first.done) return { type: "whole", bytes: new Uint8Array(0) };
    const rest = reader.read();
    rest.catch(() => undefined);
    // A failure after the first chunk is the stream's affair.
    const second = await Promise.race([rest.catch(() => undefined), turn]);
    if (second?.done === true) return { type: "whole", bytes: first.value };
    return { type: "stream", first: first.value, next: rest };
  } catch (error) {
    return { type: "failed", error };
  }
}

/** Call directly before the last touch of the native response. */
function finish(state: ExchangeState): void {
  state.releaseBody();
  state.over = true;
}

function endStream(state: ExchangeState): void {
  finish(state);
  state.res.cork(() => state.res.end(undefined, state.closing));
}

async function pump(
  state: ExchangeState,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  pending: Promise<Chunk>,
): Promise<void> {
  let next = pending;
  for (;;) {
    const chunk = await Promise.race([next, whenOver(state)]);
    if (chunk === undefined || state.over || chunk.done) return;
    if (!(await writeAll(state, chunk.value))) return;
    next = reader.read();
    next.catch(() => undefined);
  }
}

/** Resolves when the exchange is over; a reader that waits for the application learns it so. */
function whenOver(state: ExchangeState): Promise<undefined> {
  return new Promise((resolve) => {
    if (state.over) resolve(undefined);
    state.wake = () => {
      if (state.over) resolve(undefined);
    };
  });
}

/** False if the client is gone or was cut because it does not read. */
async function writeAll(state: ExchangeState, bytes: Uint8Array): Promise<boolean> {
  for (let from = 0; from < bytes.byteLength; from += WRITE_BYTES) {
    if (state.over) return false;
    let flowing = true;
    state.res.cork(() => {
      flowing = state.res.write(bytes.subarray(from, from + WRITE_BYTES));
    });
    if (!flowing && !(await untilWritable(state))) return false;
  }
  return !state.over;
}

async function untilWritable(state: ExchangeState): Promise<boolean> {
  const { stallTimeoutMs } = state.settings.limits;
  const stalled = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(true), stallTimeoutMs);
    state.wake = () => {
      clearTimeout(timer);
      resolve(false);
    };
    if (state.over) state.wake();
  });
  state.wake = undefined;
  if (stalled) state.cut();
  return !state.over;
}

async function cancel(
  state: ExchangeState,
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<void> {
  try {
    await reader.cancel("The client closed the connection");
  } catch (error) {
    // A stream that had failed before gives its old error again, which was told where it was news.
    const hadFailed = await reader.closed.then(
      () => false,
      () => true,
    );
    if (!hadFailed) state.settings.onError(error);
  }
}

function writeHead(res: HttpResponse, status: number, headers: Headers): void {
  res.writeStatus(`${status} ${STATUS_CODES[status] ?? "Unknown"}`);
  // `Headers` has refused line breaks in values, and yields each set-cookie by itself.
  for (const [name, value] of headers) {
    if (!HOP_HEADERS.has(name)) res.writeHeader(name, value);
  }
}

function nextTurn(): Promise<undefined> {
  return new Promise((resolve) => setImmediate(() => resolve(undefined)));
}
