/**
 * What every HTTP host must do, whichever server is behind it.
 *
 * @module
 */

import { createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import {
  type HostSocket,
  type HttpHost,
  type HttpHostOptions,
  openHttpHost,
} from "../../native/http-host.ts";
import {
  closeOf,
  dial,
  eventSource,
  failingStream,
  raw,
  readUntil,
  socketTo,
  until,
  withoutComments,
} from "../support/http-clients.ts";

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

  describe(`openHttpHost() on ${kind}`, () => {
    it("says which server it is and where it listens", async () => {
      const host = await start({});
      expect(host.kind).toBe(kind);
      expect(host.url).toBe(`http://127.0.0.1:${host.port}`);
      expect(host.port).toBeGreaterThan(0);
    });

    it("passes method, path, query, headers and address to the handler", async () => {
      const host = await start({
        fetch: (request, { remoteAddress }) => {
          const { pathname, search } = new URL(request.url);
          const probe = request.headers.get("x-probe");
          return Response.json([request.method, pathname, search, probe, remoteAddress]);
        },
      });
      const response = await fetch(`${host.url}/a%20b/c?d=e%26f&g`, {
        method: "DELETE",
        headers: { "x-probe": "1" },
      });
      expect(await response.json()).toEqual(["DELETE", "/a%20b/c", "?d=e%26f&g", "1", "127.0.0.1"]);
    });

    it("hands over a request body of 900 kB unchanged", async () => {
      const host = await start({
        fetch: async (request) => new Response(await request.arrayBuffer()),
      });
      const sent = Buffer.alloc(900_000, "0123456789abcdef");
      const response = await fetch(host.url, { method: "POST", body: sent });
      expect(Buffer.from(await response.arrayBuffer()).equals(sent)).toBe(true);
    });

    it("holds a client back whose body is read slowly, and loses nothing", async () => {
      const host = await start({
        fetch: async (request) => {
          let bytes = 0;
          for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
            bytes += chunk.byteLength;
            await new Promise((resolve) => setImmediate(resolve));
          }
          return new Response(String(bytes));
        },
      });
      const body = Buffer.alloc(8_000_000, 7);
      const response = await fetch(host.url, { method: "POST", body });
      expect(await response.text()).toBe("8000000");
    });

    it("answers a body that the handler never reads, and the next request too", async () => {
      const host = await start({ fetch: () => new Response("unread") });
      for (let count = 0; count < 3; count += 1) {
        const response = await fetch(host.url, { method: "POST", body: Buffer.alloc(2_000_000) });
        expect(await response.text()).toBe("unread");
      }
    });

    it("answers 413 to an announced body over the limit, without calling the handler", async () => {
      let calls = 0;
      const host = await start({
        limits: { maxBodyBytes: 1_000 },
        fetch: () => {
          calls += 1;
          return new Response();
        },
      });
      const response = await fetch(host.url, { method: "POST", body: Buffer.alloc(1_001) });
      expect(response.status).toBe(413);
      expect(response.headers.get("content-type")).toBe("application/problem+json");
      expect(calls).toBe(0);
    });

    it("answers 413 to a body of unknown length once it is over the limit", async () => {
      const host = await start({
        limits: { maxBodyBytes: 1_000 },
        fetch: async (request) => new Response(await request.text()),
      });
      const answer = await raw(
        host.port,
        `POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${"3e8\r\n"}${"x".repeat(1_000)}\r\n1\r\nx\r\n0\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    });

    it("sends every cookie by itself, and no header twice", async () => {
      const host = await start({
        fetch: () => {
          const headers = new Headers({ "content-length": "2", "x-one": "1" });
          headers.append("set-cookie", "a=1; Path=/");
          headers.append("set-cookie", "b=2; Path=/");
          return new Response("ok", { headers });
        },
      });
      const response = await fetch(host.url);
      expect(response.headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2; Path=/"]);
      expect(response.headers.get("content-length")).toBe("2");
      expect(await response.text()).toBe("ok");
    });

    it("answers HEAD with the length and no body, 204 with neither", async () => {
      const host = await start({
        fetch: (request) =>
          request.method === "HEAD"
            ? new Response(null, { headers: { "content-length": "1234" } })
            : new Response(null, { status: 204 }),
      });
      const head = await raw(host.port, "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n", "\r\n\r\n");
      expect(head).toMatch(/^HTTP\/1\.1 200 /);
      expect(head.toLowerCase()).toContain("content-length: 1234");
      const none = await raw(host.port, "GET / HTTP/1.1\r\nhost: x\r\n\r\n", "\r\n\r\n");
      expect(none).toMatch(/^HTTP\/1\.1 204 /);
      expect(none.toLowerCase()).not.toContain("content-length");
      // A stray body would stand in front of the next answer on the same connection.
      expect((await fetch(host.url, { method: "HEAD" })).status).toBe(200);
      expect((await fetch(host.url)).status).toBe(204);
    });

    it("passes on a status such as 404 with its body", async () => {
      const host = await start({ fetch: () => new Response("no such page", { status: 404 }) });
      const response = await fetch(`${host.url}/nowhere`);
      expect([response.status, await response.text()]).toEqual([404, "no such page"]);
    });

    it("answers 500 when the handler throws, reports it, and serves on", async () => {
      const errors: unknown[] = [];
      const host = await start({
        onError: (error) => errors.push(error),
        fetch: (request) => {
          if (request.url.endsWith("/fail")) throw new Error("broken handler");
          return new Response("fine");
        },
      });
      expect((await fetch(`${host.url}/fail`)).status).toBe(500);
      expect(String(errors)).toContain("broken handler");
      expect(await (await fetch(host.url)).text()).toBe("fine");
    });

    it("cuts the connection when a stream fails after its headers", async () => {
      const host = await start({
        onError: () => undefined,
        fetch: () => new Response(failingStream()),
      });
      const response = await fetch(host.url);
      await expect(response.text()).rejects.toThrow();
    });

    it("answers 400 to a host header that makes no URL", async () => {
      const host = await start({});
      const request = "GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n";
      expect(await raw(host.port, request)).toMatch(/^HTTP\/1\.1 400 /);
    });

    it("streams events as they come, and tells the handler when the client leaves", async () => {
      const events = eventSource();
      const host = await start({ fetch: (request) => events.respond(request) });
      const abort = new AbortController();
      const response = await fetch(host.url, { signal: abort.signal });
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      events.send("one");
      expect(await readUntil(reader, "one\n\n")).toBe("data: one\n\n");
      events.send("two");
      expect(await readUntil(reader, "two\n\n")).toBe("data: two\n\n");
      abort.abort();
      await expect(events.aborted).resolves.toBe("aborted");
      await reader.cancel().catch(() => undefined);
    });

    it("stops reading from a handler whose client does not read, and cuts it in the end", async () => {
      let produced = 0;
      let cancelled = (): void => undefined;
      const ended = new Promise<void>((resolve) => {
        cancelled = resolve;
      });
      const host = await start({
        limits: { stallTimeoutMs: 300 },
        onError: () => undefined,
        fetch: () =>
          new Response(
            new ReadableStream({
              pull: (controller) => {
                produced += 1;
                controller.enqueue(new Uint8Array(65_536));
              },
              cancel: () => cancelled(),
            }),
          ),
      });
      const client = await dial(host.port);
      client.pause();
      client.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      await ended;
      // The socket buffers of both sides, some megabytes at most; without a brake: gigabytes.
      expect(produced).toBeLessThan(400);
      client.destroy();
    });

    it("sends a large body whole to a client that reads", async () => {
      const host = await start({ fetch: () => new Response(Buffer.alloc(20_000_000, "abc")) });
      const received = Buffer.from(await (await fetch(host.url)).arrayBuffer());
      expect(received.equals(Buffer.alloc(20_000_000, "abc"))).toBe(true);
    });

    it("refuses a port that is taken, by either server or by anyone", async () => {
      const first = await start({});
      for (const other of ["uws", "node"] as const) {
        await expect(start({ kind: other, port: first.port })).rejects.toMatchObject({
          code: "PORT_TAKEN",
          message: expect.stringContaining(`127.0.0.1:${first.port}`),
        });
      }
      const stranger = createServer().listen(0, "127.0.0.1");
      open.push(stranger);
      await new Promise((resolve) => stranger.once("listening", resolve));
      const { port } = stranger.address() as { port: number };
      await expect(start({ port })).rejects.toMatchObject({ code: "PORT_TAKEN" });
    });

    it("refuses an address that this machine does not have", async () => {
      await expect(start({ host: "203.0.113.9" })).rejects.toMatchObject({ code: "LISTEN_FAILED" });
    });

    it("close() ends streams, closes sockets with 1001, and frees the port", async () => {
      const events = eventSource();
      const { host, url, events: seen } = await startEcho({ fetch: (r) => events.respond(r) });
      const client = await socketTo(url);
      const closed = closeOf(client);
      const response = await fetch(host.url);
      const text = response.text().then(withoutComments);
      events.send("last");
      await host.close();
      await expect(closed).resolves.toBe(1001);
      await expect(text).resolves.toBe("data: last\n\n");
      // The client may hear of it first.
      await until(() => seen.length === 2);
      expect(seen).toEqual(["open ", "close"]);
      await expect(fetch(host.url)).rejects.toThrow();
      await start({ port: host.port });
    });

    it("close() lets a running request finish, and cuts one that does not", async () => {
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      const arrived: string[] = [];
      const host = await start({
        limits: { closeTimeoutMs: 500 },
        fetch: async (request) => {
          const name = new URL(request.url).pathname;
          arrived.push(name);
          if (name === "/slow") await held;
          else await new Promise(() => undefined);
          return new Response("finished");
        },
      });
      const slow = fetch(`${host.url}/slow`).then((response) => response.text());
      const stuck = fetch(`${host.url}/stuck`);
      const cut = expect(stuck).rejects.toThrow();
      await until(() => arrived.length === 2);
      const closing = host.close();
      release();
      await expect(slow).resolves.toBe("finished");
      await closing;
      await cut;
    });
  });
}

it("on uws it is told when the application refuses to be cancelled by a client that left", async () => {
  const errors: unknown[] = [];
  const host = await openHttpHost({
    kind: "uws",
    host: "127.0.0.1",
    port: 0,
    onError: (error) => errors.push(error),
    fetch: () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode("first ")),
          cancel: () => {
            throw new Error("it will not stop");
          },
        }),
      ),
  });
  open.push(host);
  const leave = new AbortController();
  const response = await fetch(host.url, { signal: leave.signal });
  await response.body?.getReader().read();
  leave.abort();
  await until(() => errors.length > 0);
  expect(errors).toEqual([new Error("it will not stop")]);
});
