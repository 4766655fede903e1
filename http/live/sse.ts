/**
 * The live stream as server-sent events: the same frames as over the WebSocket, for curl and proxies.
 *
 * @module
 */

import type { LiveClients } from "./clients.ts";
import { type ServerFrame, sseRecord } from "./frames.ts";
import { HIGH_WATER_BYTES, type LiveSession } from "./session.ts";
import type { Position } from "./topics.ts";

/** Silence after which a comment keeps the connection open. */
const KEEP_ALIVE_MS = 15_000;

/**
 * Opens the stream. It ends when the client goes (`signal` or cancel) or the server stops.
 * @throws {ProblemError} `UNAVAILABLE` when no further client fits.
 */
export function openSseStream(
  clients: LiveClients,
  topics: readonly string[],
  from: Position | undefined,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  clients.checkRoom();
  const encoder = new TextEncoder();
  let session: LiveSession | undefined;
  let keepAlive: NodeJS.Timeout | undefined;
  let ended = false;

  const end = (): void => {
    ended = true;
    clearInterval(keepAlive);
    signal.removeEventListener("abort", onAbort);
  };
  const onAbort = (): void => {
    session?.close();
    end();
  };

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const waiting = (): number => HIGH_WATER_BYTES - (controller.desiredSize ?? 0);
        const write = (text: string): "sent" | "buffered" | "dropped" => {
          if (ended) return "dropped";
          controller.enqueue(encoder.encode(text));
          return waiting() > 0 ? "buffered" : "sent";
        };
        // Sent at once, so that the head of the response leaves before the first snapshot is read.
        write(": spectra live stream\n\nretry: 1000\n\n");
        session = clients.connect(
          {
            send: (frame: ServerFrame) => write(sseRecord(frame)),
            bufferedBytes: waiting,
            close: (_code, reason) => {
              if (ended) return;
              write(`: ${reason}\n\n`);
              end();
              controller.close();
            },
          },
          topics,
          from,
        );
        keepAlive = setInterval(() => {
          if (waiting() < HIGH_WATER_BYTES) write(": keep-alive\n\n");
        }, KEEP_ALIVE_MS);
        keepAlive.unref();
        signal.addEventListener("abort", onAbort, { once: true });
        if (signal.aborted) onAbort();
      },
      pull() {
        session?.flush();
      },
      cancel() {
        session?.close();
        end();
      },
    },
    { highWaterMark: HIGH_WATER_BYTES, size: (chunk) => chunk.byteLength },
  );
}
