/**
 * Who may talk to a server on loopback that has no accounts: decisions on Host, Origin and token.
 * A page of another site must reach nothing, also not after DNS rebinding (its Host header gives it away).
 *
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { ProblemError } from "./problem.ts";

const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;
const READING = new Set(["GET", "HEAD"]);

/** Name of the cookie that `/?token=…` sets, so that the page can work where a token is asked for. */
export const TOKEN_COOKIE = "spectra_token";

export function isLoopbackHost(host: string): boolean {
  return LOOPBACK_HOST.test(host);
}

/** True for no Origin at all (curl, same-origin GET) and for the origin of the very host that is asked. */
export function isOwnOrigin(origin: string | null, host: string): boolean {
  if (origin === null) return true;
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  return (url.protocol === "http:" || url.protocol === "https:") && url.host === host.toLowerCase();
}

function hostOf(request: Request): string {
  return request.headers.get("host") ?? new URL(request.url).host;
}

/** @throws {ProblemError} `HOST_REFUSED`, or `ORIGIN_REFUSED` for a write or an upgrade from another site. */
export function checkCaller(request: Request, upgrade = false): void {
  const host = hostOf(request);
  if (!isLoopbackHost(host)) {
    throw new ProblemError(
      "HOST_REFUSED",
      `Cannot answer for host "${host.slice(0, 100)}": use localhost, 127.0.0.1 or [::1]`,
    );
  }
  if (READING.has(request.method) && !upgrade) return;
  const origin = request.headers.get("origin");
  const site = request.headers.get("sec-fetch-site");
  if (!isOwnOrigin(origin, host) || site === "cross-site") {
    throw new ProblemError(
      "ORIGIN_REFUSED",
      `Cannot change state for origin "${(origin ?? "unknown").slice(0, 100)}": only pages of this server may`,
    );
  }
}

function cookieOf(request: Request, name: string): string | undefined {
  for (const part of (request.headers.get("cookie") ?? "").split(";")) {
    const [key, ...rest] = part.trim().split("=");
    if (key === name) return rest.join("=");
  }
  return undefined;
}

/** Compares in constant time, whatever the lengths. */
export function isSameToken(given: string, expected: string): boolean {
  const digest = (value: string): Buffer => createHash("sha256").update(value).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

/** @throws {ProblemError} `UNAUTHORIZED` unless the bearer header or the cookie carries `token`. */
export function checkToken(request: Request, token: string): void {
  const header = request.headers.get("authorization");
  const bearer = header?.match(/^Bearer (.+)$/i)?.[1];
  const cookie = cookieOf(request, TOKEN_COOKIE);
  if (bearer !== undefined && isSameToken(bearer, token)) return;
  if (cookie !== undefined && isSameToken(cookie, encodeURIComponent(token))) return;
  throw new ProblemError(
    "UNAUTHORIZED",
    "Cannot answer without a valid token: send Authorization: Bearer TOKEN",
    { headers: { "www-authenticate": 'Bearer realm="spectra"' } },
  );
}

/** On every answer. Scripts and styles come from this server only, none inline; no page may frame us. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
};
