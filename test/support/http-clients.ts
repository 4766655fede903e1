/**
 * Clients and handlers for tests of the HTTP hosts: raw sockets, WebSockets, fed event streams.
 *
 * @module
 */

import { connect, type Socket } from "node:net";
import { WebSocket } from "ws";

export function failingStream(): ReadableStream<Uint8Array> {
  let pulls = 0;
  return new ReadableStream({
    pull: async (controller) => {
      pulls += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (pulls > 2) controller.error(new Error("the source broke"));
      else controller.enqueue(new TextEncoder().encode("some "));
    },
  });
}

/** A server-sent event stream that a test feeds; it ends when its request is aborted. */
export function eventSource() {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let onAborted: ((value: "aborted") => void) | undefined;
  const waiting: string[] = [];
  const write = (text: string) =>
    controller?.enqueue(new TextEncoder().encode(`data: ${text}\n\n`));
  return {
    aborted: new Promise<"aborted">((resolve) => {
      onAborted = resolve;
    }),
    send: (text: string) => {
      if (controller === undefined) waiting.push(text);
      else write(text);
    },
    respond: (request: Request) => {
      const body = new ReadableStream<Uint8Array>({
        start: (started) => {
          controller = started;
          for (const text of waiting) write(text);
        },
      });
      request.signal.addEventListener("abort", () => {
        onAborted?.("aborted");
        try {
          controller?.close();
        } catch {
          // The host cancelled it already.
        }
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    },
  };
}

export async function dial(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.on("error", () => undefined);
  return socket;
}

/** Sends bytes and returns what comes back, up to `end` or to the end of the connection. */
export async function raw(port: number, request: string, end?: string): Promise<string> {
  const socket = await dial(port);
  let text = "";
  await new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (end !== undefined && text.endsWith(end)) resolve();
    });
    socket.once("close", () => resolve());
    socket.write(request);
  });
  socket.destroy();
  return text;
}

export async function socketTo(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  socket.on("error", () => undefined);
  return socket;
}

export function refusalOf(
  url: string,
  headers: Record<string, string>,
): Promise<number | undefined> {
  const socket = new WebSocket(url, { headers });
  return new Promise((resolve, reject) => {
    socket.once("unexpected-response", (request, response) => {
      request.destroy();
      resolve(response.statusCode);
    });
    socket.once("open", () => reject(new Error("the upgrade was accepted")));
    socket.on("error", () => undefined);
  });
}

export function nextMessage(socket: WebSocket): Promise<string> {
  return new Promise((resolve) =>
    socket.once("message", (data: Buffer) => resolve(data.toString())),
  );
}

export function closeOf(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => socket.once("close", resolve));
}

/** Waits for a condition that another event loop turn brings. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Reads text until it holds `end`; comments, which an event stream may begin with, are left out. */
export async function readUntil(
  reader: ReadableStreamDefaultReader<string>,
  end: string,
): Promise<string> {
  let text = "";
  while (!text.endsWith(end)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`The stream ended before "${end}": "${text}"`);
    text += value;
  }
  return withoutComments(text);
}

export function withoutComments(text: string): string {
  return text.replaceAll(/^:.*\n\n?/gm, "");
}
