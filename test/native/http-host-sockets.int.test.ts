/**
 * What every HTTP host must do with WebSockets, whichever server is behind it.
 *
 * @module
 */

import { afterEach, describe, expect, it } from "vitest";
import {
  type HostSocket,
  type HttpHost,
  type HttpHostOptions,
  openHttpHost,
} from "../../native/http-host.ts";
import { closeOf, nextMessage, refusalOf, socketTo, until } from "../support/http-clients.ts";

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

for (const kind of ["uws", "node"] as const) {
  const start = async (options: Partial<HttpHostOptions>): Promise<HttpHost> => {
    const host = await openHttpHost({
      kind,
      host: "127.0.0.1",
      port: 0,
      fetch: () => new Response("ok"),
      ...options,
    });
    open.push(host);
    return host;
  };
  /** A host with a WebSocket that echoes, and what happened on it. */
  const startEcho = async (options: Partial<HttpHostOptions> = {}) => {
    const events: string[] = [];
    const sockets: HostSocket[] = [];
    const host = await start({
      ...options,
      websocket: {
        path: "/stream",
        authorize: async () => undefined,
        open: (socket, request) => {
          sockets.push(socket);
          events.push(`open ${new URL(request.url).search}`);
        },
        message: (socket, data) => {
          socket.send(`echo ${data}`);
        },
        close: () => events.push("close"),
        ...options.websocket,
      },
    });
    return { host, events, sockets, url: `${host.url.replace("http", "ws")}/stream` };
  };

  describe(`WebSockets of openHttpHost() on ${kind}`, () => {
    it("echoes over a WebSocket and tells of its opening and closing once", async () => {
      const { events, url } = await startEcho();
      const client = await socketTo(`${url}?a=1`);
      client.send("hello ✓");
      expect(await nextMessage(client)).toBe("echo hello ✓");
      client.close(1000);
      await expect(closeOf(client)).resolves.toBe(1000);
      await until(() => events.length === 2);
      expect(events).toEqual(["open ?a=1", "close"]);
    });

    it("refuses an upgrade with the response that authorize gives", async () => {
      const { events, url } = await startEcho({
        websocket: {
          path: "/stream",
          authorize: async (request) =>
            request.headers.get("origin") === "http://evil.example"
              ? new Response("not from there", { status: 403 })
              : undefined,
          open: () => undefined,
          message: () => undefined,
          close: () => undefined,
        },
      });
      await expect(refusalOf(url, { origin: "http://evil.example" })).resolves.toBe(403);
      (await socketTo(url)).close();
      expect(events).toEqual([]);
    });

    it("answers an upgrade elsewhere as the handler would", async () => {
      const { host } = await startEcho({ fetch: () => new Response("", { status: 404 }) });
      const url = `${host.url.replace("http", "ws")}/elsewhere`;
      await expect(refusalOf(url, {})).resolves.toBe(404);
    });

    it("closes a socket whose reader is too slow with 1013, after every frame that was accepted", async () => {
      const { sockets, url } = await startEcho({ limits: { maxBackpressureBytes: 200_000 } });
      const client = await socketTo(url);
      client.pause();
      await until(() => sockets.length === 1);
      const results: string[] = [];
      const frame = "x".repeat(50_000);
      while (results.at(-1) !== "dropped" && results.length < 2_000) {
        results.push(sockets[0]!.send(frame));
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(results.at(-1)).toBe("dropped");
      expect(results).toContain("buffered");
      expect(sockets[0]!.send("late")).toBe("dropped");
      let received = 0;
      client.on("message", () => {
        received += 1;
      });
      const closed = closeOf(client);
      client.resume();
      await expect(closed).resolves.toBe(1013);
      expect(received).toBe(results.length - 1);
    });

    it("closes a socket that sends too long a message or a binary one", async () => {
      const { url } = await startEcho({ limits: { maxMessageBytes: 1_000 } });
      const long = await socketTo(url);
      long.send("x".repeat(1_001));
      // Either server may drop the connection before its close frame is out.
      expect([1006, 1009]).toContain(await closeOf(long));
      const binary = await socketTo(url);
      binary.send(Buffer.from([1, 2]));
      await expect(closeOf(binary)).resolves.toBe(1003);
    });

    it("closes a socket with 1011 when a handler throws", async () => {
      const errors: unknown[] = [];
      const { url } = await startEcho({
        onError: (error) => errors.push(error),
        websocket: {
          path: "/stream",
          authorize: async () => undefined,
          open: () => undefined,
          message: () => {
            throw new Error("broken message handler");
          },
          close: () => undefined,
        },
      });
      const client = await socketTo(url);
      client.send("x");
      await expect(closeOf(client)).resolves.toBe(1011);
      expect(String(errors)).toContain("broken message handler");
    });
  });
}
