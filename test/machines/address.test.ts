import { expect, test } from "vitest";
import { parseAddress, readAddress } from "../../machines/address.ts";

test.each(["COUNTER", "/", "/a#", "/a#x", "/a/", ""])("%j is no address", (text) => {
  expect(() => parseAddress(text)).toThrow(TypeError);
  expect(readAddress(text)).toBeUndefined();
});

test("an address is a path, or one incarnation of it", () => {
  expect(parseAddress("/root/a")).toEqual({ path: "/root/a" });
  expect(parseAddress("/root/a#12")).toEqual({ path: "/root/a", incarnation: 12 });
});
