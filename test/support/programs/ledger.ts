/**
 * An append-only ledger behind HTTP: `POST` appends, `GET` returns all of it.
 *
 * @module
 */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const arrivals: object[] = [];

const server = createServer((request, response) => {
  if (request.method === "GET") return void response.end(JSON.stringify(arrivals));
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (text: string) => {
    body += text;
  });
  request.on("end", () => {
    arrivals.push({ ...(JSON.parse(body) as object), atMs: Date.now() });
    response.end();
  });
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
console.log(JSON.stringify({ url: `http://127.0.0.1:${port}/` }));
// It ends with the test that started it, however that ends.
process.stdin.resume().on("end", () => process.exit());
