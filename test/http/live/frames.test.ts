import { expect, test } from "vitest";
import { eventFrame, parseClientFrame, sseRecord, stateFrame } from "../../../http/live/frames.ts";
import { formatPosition, isTopic, parsePosition, parseTopics } from "../../../http/live/topics.ts";
import { eventOf } from "./live-events.ts";

test("eventFrame() carries epoch, seq and topics, and the conflation only when there was one", () => {
  const event = eventOf(9, { kind: "agent", name: "A" }, ["agent:A", "system"]);
  expect(eventFrame("e1", { event, conflated: 0 })).toEqual({
    type: "event",
    epoch: "e1",
    seq: 9,
    topics: ["agent:A", "system"],
    at: event.at,
    body: event.body,
  });
  expect(eventFrame("e1", { event, conflated: 3 })).toMatchObject({ conflated: 3 });
});

test("stateFrame() is a snapshot, or a resync that says why", () => {
  const place = { epoch: "e1", seq: 4 };
  expect(stateFrame(place, ["events"], {})).toMatchObject({ type: "snapshot", seq: 4 });
  expect(stateFrame(place, ["events"], {}, "gap")).toMatchObject({ type: "resync", reason: "gap" });
});

test("sseRecord() names the event and gives the place as id", () => {
  const frame = eventFrame("e1", { event: eventOf(9, { kind: "agent", name: "A" }), conflated: 0 });
  const lines = sseRecord(frame).split("\n");
  expect(lines.slice(0, 2)).toEqual(["event: event", "id: e1:9"]);
  expect(JSON.parse(lines[2]!.slice("data: ".length))).toEqual(frame);
  expect(sseRecord({ type: "pong" })).toBe('event: pong\ndata: {"type":"pong"}\n\n');
});

test.each([
  ["{", /not JSON/],
  ["7", /not an object/],
  ['{"type":"shout"}', /type must be/],
  ['{"type":"subscribe"}', /topics must be/],
  ['{"type":"subscribe","topics":["nowhere"]}', /topics must be/],
  ["x".repeat(20_000), /longer than/],
])("parseClientFrame() says what is wrong with %s", (text, problem) => {
  expect(parseClientFrame(text)).toMatch(problem);
});

test("parseClientFrame() reads what the protocol has", () => {
  expect(parseClientFrame('{"type":"ping"}')).toEqual({ type: "ping" });
  const frame = { type: "subscribe", topics: ["system", "workflow:a-1", "agent:HARDWARE-INTEL"] };
  expect(parseClientFrame(JSON.stringify(frame))).toEqual(frame);
});

test("parseTopics() splits, drops repetitions and tells what is no topic", () => {
  expect(parseTopics("system, events,system,nope,workflow:")).toEqual({
    topics: ["system", "events"],
    unknown: ["nope", "workflow:"],
  });
  expect(isTopic(`workflow:${"x".repeat(300)}`)).toBe(false);
});

test("parsePosition() reads what formatPosition() writes, and nothing else", () => {
  const position = { epoch: "2026-01-01T00:00:00.000Z", seq: 42 };
  expect(parsePosition(formatPosition(position))).toEqual(position);
  for (const text of ["", "42", ":42", "e:", "e:-1", "e:1.5", null]) {
    expect(parsePosition(text)).toBeUndefined();
  }
});
