/**
 * Dates of archives and mails.
 *
 * @module
 */

import { expect, test } from "vitest";
import { parseMailDate } from "../../../actors/archive/mail-headers.ts";
import { parseIsoDate, storable } from "../../../actors/archive/source-values.ts";

test.each([
  ["2024-02-29", "2024-02-29T00:00:00.000Z"],
  ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"],
  ["2038-01-19 03:14:08+00:00", "2038-01-19T03:14:08.000Z"],
  ["2024-01-01 00:30:00+02:00", "2023-12-31T22:30:00.000Z"],
  ["2024-01-01T10:00:00.123456-0530", "2024-01-01T15:30:00.123Z"],
  ["2023-02-30", undefined],
  ["2024-01-01 24:00:00", undefined],
  ["yesterday", undefined],
  ["", undefined],
])("parseIsoDate() reads %j as %j", (text, expected) => {
  expect(parseIsoDate(text)?.toISOString()).toBe(expected);
});

test.each([
  ["Thu, 22 Aug 2002 18:26:25 +0700", "2002-08-22T11:26:25.000Z"],
  ["22 Aug 02 18:26 EDT (summer)", "2002-08-22T22:26:00.000Z"],
  ["Mon, 8 Jul 102 01:02:03 GMT", "2002-07-08T01:02:03.000Z"],
  ["Fri, 31 Dec 99 23:59:60 -0000", "2000-01-01T00:00:00.000Z"],
  ["Thu, 1 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00.000Z"],
  ["Tue, 19 Jan 2038 03:14:08 +0000", "2038-01-19T03:14:08.000Z"],
  ["Thu, 31 Feb 2002 10:00:00 +0000", undefined],
  ["Mon, 8 Jul 0102 01:02:03 GMT", undefined],
  ["soon", undefined],
])("parseMailDate() reads %j as %j", (text, expected) => {
  expect(parseMailDate(text)?.toISOString()).toBe(expected);
});

test("storable() leaves nothing that PostgreSQL text cannot hold", () => {
  expect(storable("a\u0000b\ud800c")).toBe("a\ufffdb\ufffdc");
});
