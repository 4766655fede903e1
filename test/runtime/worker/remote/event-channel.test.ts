import { MessageChannel, type MessagePort } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import {
  type EventChannel,
  type EventChannelOptions,
  type EventFrame,
  openEventChannel,
} from "../../../../runtime/worker/remote/event-channel.ts";
import { soon } from "../../../support/soon.ts";

const opened: EventChannel[] = [];

afterEach(() => {
  for (const channel of opened.splice(0)) channel.close();
});

function open(port: MessagePort, options: Partial<EventChannelOptions> = {}) {
  const frames: EventFrame[] = [];
  const channel = openEventChannel({
    port,
    incarnation: 1,
    onFrame: (frame) => frames.push(frame),
    ...options,
  });
  opened.push(channel);
  return { channel, frames };
}

function pair(left: Partial<EventChannelOptions> = {}, right: Partial<EventChannelOptions> = {}) {
  const { port1, port2 } = new MessageChannel();
  return { left: open(port1, left), right: open(port2, right) };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

describe("an event channel", () => {
  test("delivers frames in order, single ones and bursts, both ways", async () => {
    const { left, right } = pair();
    left.channel.send("a", 0);
    await soon(() => right.frames.length).toBe(1);
    for (const body of numbers(1_000)) left.channel.send("a", body);
    for (const body of numbers(10)) right.channel.send("b", body);
    await soon(() => right.frames.length).toBe(1_001);
    await soon(() => left.frames.length).toBe(10);
    expect(right.frames.map(({ seq }) => seq)).toEqual(numbers(1_001).map((at) => at + 1));
    expect(right.frames.slice(1).map(({ body }) => body)).toEqual(numbers(1_000));
    expect(left.frames.map(({ body }) => body)).toEqual(numbers(10));
  });

  test("everything is acknowledged in the end, with no frame of the other side to carry it", async () => {
    const { left, right } = pair();
    for (const body of numbers(10)) left.channel.send("a", body);
    await left.channel.drained();
    expect(left.channel.unacked()).toEqual([]);
    expect(right.channel.figures()).toMatchObject({ received: 10, duplicates: 0, gaps: 0 });
  });

  test("a full window refuses with a typed error, and room() waits for acknowledgements", async () => {
    const { left, right } = pair({ window: 4 }, { acks: "manual" });
    for (const body of numbers(4)) left.channel.send("a", body);
    expect(() => left.channel.send("a", 4)).toThrowError(
      expect.objectContaining({ code: "CHANNEL_FULL", retryable: true }),
    );
    await soon(() => right.frames.length).toBe(4);
    right.channel.ack(2);
    await left.channel.room();
    expect(left.channel.unacked().map(({ seq }) => seq)).toEqual([3, 4]);
    expect(left.channel.send("a", 5)).toBe(5);
  });

  test("frames of another incarnation are refused and counted", async () => {
    const { port1, port2 } = new MessageChannel();
    const dead = open(port1, { incarnation: 1 });
    const alive = open(port2, { incarnation: 2 });
    for (const body of numbers(3)) dead.channel.send("a", body);
    await soon(() => alive.channel.figures().stale).toBeGreaterThan(0);
    expect(alive.frames).toEqual([]);
    expect(alive.channel.figures().received).toBe(0);
  });

  test("what an incarnation did not acknowledge goes to the next one, once and in order", async () => {
    const first = new MessageChannel();
    const sender = open(first.port1);
    const killed = open(first.port2, { acks: "manual" });
    for (const body of numbers(10)) sender.channel.send("a", body);
    await soon(() => killed.frames.length).toBe(10);
    killed.channel.ack(4);
    await soon(() => sender.channel.unacked().length).toBe(6);

    const second = new MessageChannel();
    const restarted = open(second.port2, { incarnation: 2 });
    sender.channel.reopen(second.port1, 2);
    sender.channel.send("a", 10);
    await sender.channel.drained();
    expect(restarted.frames.map(({ body }) => body)).toEqual([4, 5, 6, 7, 8, 9, 10]);
    // The late frame of the killed one reaches a sender that has gone on.
    killed.channel.send("late", 0);
    await soon(() => sender.channel.figures().stale).toBe(1);
    expect(sender.frames).toEqual([]);
  });

  test("a restarted receiver that remembers what it took in gets it no second time", async () => {
    const first = new MessageChannel();
    const sender = open(first.port1);
    const killed = open(first.port2, { acks: "manual" });
    for (const body of numbers(5)) sender.channel.send("a", body);
    await soon(() => killed.frames.length).toBe(5);

    const second = new MessageChannel();
    const restarted = open(second.port2, { incarnation: 2, received: 3 });
    sender.channel.reopen(second.port1, 2);
    await sender.channel.drained();
    expect(restarted.frames.map(({ body }) => body)).toEqual([3, 4]);
    expect(restarted.channel.figures().duplicates).toBe(3);
  });

  test("a lost message is noticed and asked for again", async () => {
    const { port1, port2 } = new MessageChannel();
    let lose = false;
    const lossy = {
      postMessage: (data: unknown) => {
        if (!lose) port1.postMessage(data);
      },
      on: (_: "message", listener: (data: unknown) => void) => port1.on("message", listener),
      close: () => port1.close(),
    };
    const sender = openEventChannel({ port: lossy, incarnation: 1, onFrame: () => undefined });
    opened.push(sender);
    const receiver = open(port2);
    sender.send("a", 0);
    await sender.drained();
    lose = true;
    sender.send("a", 1);
    await Promise.resolve();
    lose = false;
    sender.send("a", 2);
    await sender.drained();
    expect(receiver.frames.map(({ body }) => body)).toEqual([0, 1, 2]);
    expect(receiver.channel.figures().gaps).toBe(1);
  });

  test("a body that cannot be cloned is refused; the rest of its burst arrives", async () => {
    const refused: [unknown, string][] = [];
    const { left, right } = pair({
      onRefused: ({ kind }, { code }) => refused.push([kind, code]),
    });
    expect(() => left.channel.send("alone", () => 1)).toThrowError(
      expect.objectContaining({ code: "NOT_CLONEABLE" }),
    );
    left.channel.send("a", 1);
    left.channel.send("a", 2);
    left.channel.send("bad", () => 1);
    left.channel.send("a", 3);
    await left.channel.drained();
    expect(right.frames.map(({ body }) => body)).toEqual([1, 2, 3]);
    expect(refused).toEqual([["bad", "NOT_CLONEABLE"]]);
  });

  test("closing rejects whoever waits, and later sends", async () => {
    const { left } = pair({ window: 1 }, { acks: "manual" });
    left.channel.send("a", 1);
    const waits = [left.channel.room(), left.channel.drained()];
    left.channel.close();
    for (const wait of waits) await expect(wait).rejects.toMatchObject({ code: "CHANNEL_CLOSED" });
    expect(() => left.channel.send("a", 2)).toThrowError(
      expect.objectContaining({ code: "CHANNEL_CLOSED" }),
    );
  });
});
