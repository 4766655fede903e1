import fc from "fast-check";
import { expect, test } from "vitest";
import {
  encodeFrame,
  type Frame,
  frameKinds,
  frameReader,
} from "../../../../../runtime/worker/web/carriers/frames.ts";
import {
  decodeValue,
  encodeValue,
  type PortedValue,
  takeValue,
} from "../../../../../runtime/worker/web/carriers/values.ts";

const noIds = (): readonly number[] => [];
const noPorts = (): readonly MessagePort[] => [];

function crossed(data: unknown): unknown {
  return decodeValue(encodeValue({ data, ports: [] }, noIds), noPorts).data;
}

test("frames survive any cut of the stream", () => {
  const frames = fc.array(
    fc.record({ port: fc.nat(1_000), payload: fc.uint8Array({ maxLength: 300 }) }),
  );
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 200 })), (sent, cuts) => {
      const stream = Buffer.concat(
        sent.map(({ port, payload }) => encodeFrame(frameKinds.message, port, payload)),
      );
      const seen: Frame[] = [];
      const read = frameReader((frame) => seen.push(frame));
      let offset = 0;
      for (const cut of [...cuts, stream.length]) {
        const end = Math.min(stream.length, offset + cut);
        if (end > offset) read(stream.subarray(offset, end));
        offset = end;
      }
      expect(seen.map(({ port, payload }) => ({ port, payload: [...payload] }))).toEqual(
        sent.map(({ port, payload }) => ({ port, payload: [...payload] })),
      );
    }),
  );
});

test("an impossible length is refused, not waited for", () => {
  const read = frameReader(() => undefined);
  expect(() => read(Buffer.from([0xff, 0xff, 0xff, 0xff, 1]))).toThrow(RangeError);
  expect(() => frameReader(() => undefined)(Buffer.from([1, 0, 0, 0, 1]))).toThrow(RangeError);
});

test("a value crosses as in a structured clone", () => {
  fc.assert(
    fc.property(
      fc.anything({
        withMap: true,
        withSet: true,
        withDate: true,
        withTypedArray: true,
        withBigInt: true,
      }),
      (value) => {
        expect(crossed(value)).toEqual(structuredClone(value));
      },
    ),
  );
});

test("identity within a value is kept: cycles, shared objects, two views of one buffer", () => {
  const shared = { n: 1 };
  const buffer = new ArrayBuffer(8);
  const value = {
    self: undefined as unknown,
    pair: [shared, shared],
    bytes: new Uint8Array(buffer, 2, 4),
    words: new Uint16Array(buffer),
  };
  value.self = value;
  const seen = crossed(value) as typeof value;
  expect(seen.self).toBe(seen);
  expect(seen.pair[0]).toBe(seen.pair[1]);
  expect(seen.bytes.buffer).toBe(seen.words.buffer);
  expect([seen.bytes.byteOffset, seen.bytes.length]).toEqual([2, 4]);
});

test("an error keeps its class, its stack and its chain of causes, also apart", () => {
  const error = new RangeError("outer", { cause: new TypeError("inner", { cause: { code: 5 } }) });
  for (const apart of [false, true]) {
    const payload = encodeValue(takeValue({ list: [error] }, [], true), noIds, apart);
    const [seen] = (decodeValue(payload, noPorts).data as { list: RangeError[] }).list;
    expect(seen).toBeInstanceOf(RangeError);
    expect([seen?.message, seen?.stack]).toEqual(["outer", error.stack]);
    expect(seen?.cause).toBeInstanceOf(TypeError);
    expect((seen?.cause as TypeError | undefined)?.cause).toEqual({ code: 5 });
  }
  expect((error.cause as TypeError).message, "the sender's own error is whole").toBe("inner");
});

test("what cannot be cloned is refused with DataCloneError, and takes no port over", () => {
  const { port1, port2 } = new MessageChannel();
  let adopted = 0;
  const adopt = (ports: readonly MessagePort[]): readonly number[] => {
    adopted += ports.length;
    return ports.map((_, index) => index);
  };
  for (const bad of [() => 1, Symbol("s"), Promise.resolve(), new SharedArrayBuffer(8), port1]) {
    const value: PortedValue = { data: { bad, port2 }, ports: [port2] };
    expect(() => encodeValue(value, adopt)).toThrow(
      expect.objectContaining({ name: "DataCloneError" }),
    );
  }
  expect(adopted).toBe(0);
  port1.close();
});

test("a port comes out wherever it went in, and nothing else is taken for one", () => {
  const { port1, port2 } = new MessageChannel();
  const stand = new MessageChannel();
  const data = { list: [port2], map: new Map([[port2, {}]]), set: new Set([port2]), empty: {} };
  const ids: (readonly number[])[] = [];
  const payload = encodeValue({ data, ports: [port2] }, () => [7]);
  const seen = decodeValue(payload, (given) => {
    ids.push(given);
    return [stand.port1];
  });
  const value = seen.data as typeof data;
  expect(ids).toEqual([[7]]);
  expect(seen.ports).toEqual([stand.port1]);
  expect(value.list[0]).toBe(stand.port1);
  expect([...value.map]).toEqual([[stand.port1, {}]]);
  expect(value.set.has(stand.port1)).toBe(true);
  expect(value.empty).toEqual({});
  port1.close();
  stand.port1.close();
});

test("a transferred buffer is detached, a getter's own error stays what it is", () => {
  const buffer = new ArrayBuffer(16);
  takeValue({ buffer }, [buffer]);
  expect(buffer.byteLength).toBe(0);
  const angry = {
    get value(): never {
      throw new RangeError("mine");
    },
  };
  expect(() => encodeValue({ data: angry, ports: [] }, noIds)).toThrow(RangeError);
});
