/**
 * The live stream over HTTP: server-sent events, and a hint for those who ask the WebSocket path plainly.
 *
 * @module
 */

import { z } from "zod";
import type { LiveClients } from "../live/clients.ts";
import { openSseStream } from "../live/sse.ts";
import { MAX_TOPICS, parsePosition, parseTopics, TOPIC_FORMS } from "../live/topics.ts";
import { type InvalidField, ProblemError } from "../problem.ts";
import { answers, defineRoute, type Route } from "../route.ts";

/** Where the WebSocket is; the server hands upgrades there to `live/websocket.ts`. */
export const STREAM_PATH = "/api/v1/stream";

const streamQuery = z.strictObject({
  topics: z
    .string()
    .max(4_000)
    .default("system,events")
    .describe(`Separated by commas: ${TOPIC_FORMS}`),
  from: z.string().max(200).optional().describe("EPOCH:SEQ of the last frame; resumes after it"),
});

/** Topics of a request. @throws {ProblemError} `INVALID` when one does not exist or there are too many. */
export function readTopics(text: string): readonly string[] {
  const { topics, unknown } = parseTopics(text);
  const fields: InvalidField[] = unknown.slice(0, 10).map((topic) => ({
    pointer: "/topics",
    detail: `"${topic.slice(0, 100)}" is none of ${TOPIC_FORMS}`,
    in: "query",
  }));
  if (topics.length === 0 || topics.length > MAX_TOPICS) {
    const detail = `Must name 1 to ${MAX_TOPICS} topics`;
    fields.push({ pointer: "/topics", detail, in: "query" });
  }
  if (fields.length === 0) return topics;
  throw new ProblemError("INVALID", "Cannot stream: check /topics", { fields });
}

export function eventRoutes(live: LiveClients): readonly Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/events",
      tag: "Live",
      summary: "The live stream as server-sent events",
      description:
        "First a snapshot of the topics, then an event for each change. A client that reads too " +
        "slowly gets the newest state of each thing, or a resync frame with a new snapshot.",
      headers: { "Last-Event-ID": "As `from`; sent by browsers when they reconnect" },
      query: streamQuery,
      responses: [answers(200, "Frames until the client goes", undefined, "text/event-stream")],
      problems: ["UNAVAILABLE"],
      handle: ({ context, query }) => {
        const topics = readTopics(query.topics);
        const from = parsePosition(context.req.header("last-event-id") ?? query.from);
        const stream = openSseStream(live, topics, from, context.req.raw.signal);
        return context.body(stream, 200, {
          "content-type": "text/event-stream; charset=utf-8",
          "cache-control": "no-store",
          "x-accel-buffering": "no",
        });
      },
    }),
    defineRoute({
      method: "GET",
      path: STREAM_PATH,
      tag: "Live",
      summary: "The live stream as a WebSocket",
      description:
        'The frames of /api/v1/events as JSON texts. The client may send {"type":"subscribe",' +
        '"topics":[…]}, {"type":"unsubscribe","topics":[…]} and {"type":"ping"}.',
      query: streamQuery,
      responses: [answers(101, "Frames until one side closes")],
      problems: ["UPGRADE_REQUIRED", "UNAVAILABLE"],
      handle: () => {
        throw new ProblemError(
          "UPGRADE_REQUIRED",
          "Cannot stream over plain HTTP here: open a WebSocket, or GET /api/v1/events",
          { headers: { upgrade: "websocket" } },
        );
      },
    }),
  ];
}
