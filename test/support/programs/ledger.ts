/**
 * An append-only ledger behind HTTP: `PUT /ID` appends once, however often it is sent; `GET` returns
 * all of it.
 *
 * @module
 */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const arrivals = new Map<string, object>();

const server = createServer((request, response) => {
  if (request.method === "GET") return void response.end(JSON.stringify([...arrivals.values()]));
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (text: string) => {
    body += text;
  });
  request.on("end", () => {
    const id = request.url ?? "";
    const first = { ...(JSON.parse(body) as object), atMs: Date.now() };
    arrivals.set(id, arrivals.get(id) ?? first);
    response.end();
  });
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
console.log(JSON.stringify({ url: `http://127.0.0.1:${port}/` }));
// It ends with the test that started it, however that ends.
process.stdin.resume().on("end", () => process.exit());
