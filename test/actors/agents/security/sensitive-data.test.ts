import { expect, test } from "vitest";
import {
  countSensitive,
  noSensitiveData,
  type SensitiveCounts,
} from "../../../../actors/agents/security/sensitive-data.ts";

function check(text: string, expected: Partial<SensitiveCounts>): void {
  expect(countSensitive(text)).toEqual({ ...noSensitiveData(), ...expected });
}

test("countSensitive() counts each e-mail address, also side by side", () => {
  check("From: a.b+c@example.com, <x_y@mail.example.co.uk>; no@where, @home, a@b.", {
    emailAddress: 2,
  });
});

test("countSensitive() counts card numbers of real issuers with a right check digit only", () => {
  check("4111 1111 1111 1111 and 5500-0000-0000-0004 and 378282246310005", { creditCard: 3 });
  check("4111 1111 1111 1112", {});
  check("9999999999999995", {});
});

test("countSensitive() counts phone numbers that are written as such", () => {
  check("Call +44 20 7946 0958 or (212) 555-0123 or 1-800-555-0199.", { phoneNumber: 3 });
  check("2002-10-09 and 1234567890 and version 1.2.3", {});
});

test("countSensitive() counts IPv4 addresses within range", () => {
  check("from [192.168.0.1] by 10.0.0.255; not 300.1.1.1, not 1.2.3.4.5", { ipAddress: 2 });
});

test("countSensitive() counts private keys and access tokens", () => {
  check("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", { privateKey: 1 });
  check("-----BEGIN PGP PRIVATE KEY BLOCK-----", { privateKey: 1 });
  check("-----BEGIN PUBLIC KEY-----", {});
  check(`key AKIA${"ABCDEFGHIJKLMNOP"} and ghp_${"a".repeat(36)}`, { accessToken: 2 });
});

test("countSensitive() takes linear time on hostile text", () => {
  const size = 2_000_000;
  check("a".repeat(size), {});
  check("@".repeat(size), {});
  check("1".repeat(size), {});
  check("1-".repeat(size / 2), {});
  check("+1 ".repeat(size / 3), {});
  check("1.".repeat(size / 2), {});
  check("eyJ".repeat(size / 3), {});
});
