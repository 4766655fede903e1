/**
 * Ports across a channel that carries only bytes: each side keeps one end of a real channel for
 * every port that crossed, and repeats what arrives there to the other side. Closing either end
 * closes the other.
 *
 * Runs in Node and in Deno.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { encodeFrame, frameKinds, maximumFrameBytes } from "./frames.ts";
import { decodeValue, encodeValue } from "./values.ts";

/** A worker that hoards ports is ended before they exhaust the other process. */
export const maximumBridgedPorts = 10_000;

export interface PortBridge {
  /** Takes over ports that leave this side; the ids name them to the other side. */
  adopt(ports: readonly MessagePort[]): readonly number[];
  /** Ports of this side that stand for those that the other side has adopted. */
  open(ids: readonly number[]): readonly MessagePort[];
  receive(id: number, payload: Buffer): void;
  /** The other side has closed its port. */
  closed(id: number): void;
  /** The channel is gone: every port closes, and its owner hears `close`. */
  closeAll(): void;
  readonly size: () => number;
}

export interface PortBridgeOptions {
  /** The two sides number their ports apart: 1 counts odd numbers, 2 even ones. */
  readonly firstId: 1 | 2;
  send(frame: Buffer): void;
  /** As `encodeValue` has it. */
  readonly causesApart?: boolean;
  /** A value that could not be sent or read; the port stays open, as the standard has it. */
  onMessageError(error: unknown): void;
  /**
   * Closing says nothing to the other end of a channel between Deno's threads, so there a port
   * posts this before it closes.
   */
  closeMark?(): string | undefined;
}

/** What Node's ports have beyond the standard. */
interface UnrefPort {
  unref?(): void;
}

export function createPortBridge(options: PortBridgeOptions): PortBridge {
  const ports = new Map<number, MessagePort>();
  let nextId: number = options.firstId;

  const forget = (id: number): void => {
    const port = ports.get(id);
    if (port === undefined) return;
    ports.delete(id);
    port.close();
  };

  const attach = (id: number, port: MessagePort): void => {
    if (ports.size >= maximumBridgedPorts) {
      throw new RangeError(
        `Cannot hand over a port: ${maximumBridgedPorts} cross to this worker already`,
      );
    }
    ports.set(id, port);
    const hasClosed = (): void => {
      if (!ports.delete(id)) return;
      options.send(encodeFrame(frameKinds.portClosed, id));
    };
    port.addEventListener("message", (event: MessageEvent) => {
      const mark = options.closeMark?.();
      if (mark !== undefined && event.data === mark) {
        hasClosed();
        return port.close();
      }
      try {
        const value = { data: event.data as unknown, ports: event.ports };
        const payload = encodeValue(value, bridge.adopt, options.causesApart);
        options.send(encodeFrame(frameKinds.message, id, payload));
      } catch (error) {
        options.onMessageError(error);
      }
    });
    port.addEventListener("messageerror", (event: MessageEvent) =>
      options.onMessageError(event.data),
    );
    port.addEventListener("close", hasClosed);
    port.start();
    // The worker keeps its process alive; a port of it does not.
    (port as UnrefPort).unref?.();
  };

  const bridge: PortBridge = {
    adopt: (leaving) =>
      leaving.map((port) => {
        const id = nextId;
        nextId += 2;
        attach(id, port);
        return id;
      }),
    open: (ids) =>
      ids.map((id) => {
        const { port1, port2 } = new MessageChannel();
        attach(id, port1);
        return port2;
      }),
    receive: (id, payload) => {
      const port = ports.get(id);
      if (port === undefined || payload.length > maximumFrameBytes) return;
      try {
        const { data, ports: inside } = decodeValue(payload, bridge.open);
        port.postMessage(data, [...inside]);
      } catch (error) {
        options.onMessageError(error);
      }
    },
    closed: forget,
    closeAll: () => {
      for (const id of ports.keys()) forget(id);
    },
    size: () => ports.size,
  };
  return bridge;
}
