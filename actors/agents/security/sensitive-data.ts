/**
 * Counts secrets and personal data in text by kind. It returns counts only, never what it found.
 *
 * @module
 */

export const sensitiveKinds = [
  "emailAddress",
  "phoneNumber",
  "creditCard",
  "privateKey",
  "accessToken",
  "ipAddress",
] as const;

export type SensitiveKind = (typeof sensitiveKinds)[number];
export type SensitiveCounts = Record<SensitiveKind, number>;

export function noSensitiveData(): SensitiveCounts {
  return {
    emailAddress: 0,
    phoneNumber: 0,
    creditCard: 0,
    privateKey: 0,
    accessToken: 0,
    ipAddress: 0,
  };
}

/** Kinds that give access or are money: one of them is a finding by itself. */
export const severeKinds: readonly SensitiveKind[] = ["creditCard", "privateKey", "accessToken"];

/** Every pattern takes time linear in the text. */
export function countSensitive(text: string): SensitiveCounts {
  return {
    emailAddress: countAddresses(text),
    phoneNumber: count(text, PHONE),
    creditCard: count(text, CARD, isCardNumber),
    privateKey: count(text, PRIVATE_KEY),
    accessToken: count(text, TOKEN),
    ipAddress: count(text, IPV4, isIpv4),
  };
}

/** International form, or the North American three-three-four with separators. */
const PHONE =
  /(?<![\d.+-])(?:\+[1-9]\d{0,2}(?:[ .-]?\(?\d{2,4}\)?){2,4}|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4})(?![\d.-]?\d)/g;
const CARD = /(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]?\d)/g;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----/g;
/** Amazon, GitHub, Slack, Google, Stripe, Telegram bots, and JSON Web Tokens, by their fixed forms. */
const TOKEN =
  /\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[\w-]{35}|sk_live_[A-Za-z0-9]{24}|\d{8,10}:AA[\w-]{33}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})/g;
const IPV4 = /(?<![\d.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?!\.?\d)/g;

function count(text: string, pattern: RegExp, accept?: (match: string) => boolean): number {
  let found = 0;
  for (const [match] of text.matchAll(pattern)) {
    if (accept === undefined || accept(match)) found += 1;
  }
  return found;
}

const LOCAL_PART = /[\w.%+-]{1,64}$/;
const DOMAIN = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])/;

/** Goes from one at-sign to the next, since a pattern that starts before it would look at every place. */
function countAddresses(text: string): number {
  let found = 0;
  for (let at = text.indexOf("@"); at !== -1; at = text.indexOf("@", at + 1)) {
    const before = text.slice(Math.max(0, at - 64), at);
    if (LOCAL_PART.test(before) && DOMAIN.test(text.slice(at + 1, at + 255))) found += 1;
  }
  return found;
}

function isIpv4(match: string): boolean {
  return match.split(".").every((part) => Number(part) <= 255);
}

/** An issuer's prefix and length, and the check digit (Luhn, ISO/IEC 7812-1). */
function isCardNumber(match: string): boolean {
  const digits = match.replace(/[ -]/g, "");
  const issued =
    /^(?:4\d{12}(?:\d{3}(?:\d{3})?)?|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}|3[47]\d{13}|6(?:011|5\d{2})\d{12})$/;
  if (!issued.test(digits)) return false;
  let sum = 0;
  for (let index = 0; index < digits.length; index += 1) {
    const digit = Number(digits.at(-1 - index));
    const doubled = index % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}
