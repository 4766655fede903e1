/**
 * What a program of the conformance suite finds in Node, before its first line: Deno's globals,
 * by our sources. `SPECTRA_CONFORMANCE` says what Deno's flags would.
 *
 * @module
 */

const { allow, deny, location, isolation, dist } = {
  dist: new URL("../../../../dist/", import.meta.url).href,
  ...JSON.parse(process.env.SPECTRA_CONFORMANCE ?? "{}"),
};
delete process.env.SPECTRA_CONFORMANCE;
const { installDenoGlobals } = await import(new URL("runtime/worker/web/install.js", dist).href);
const { permissionNames } = await import(new URL("machines/permissions.js", dist).href);
const ruleOf = (name) => ({
  granted: allow === undefined || allow[name] === true ? "all" : (allow[name] ?? []),
  denied: deny?.[name] ?? [],
});
installDenoGlobals({
  permissions: Object.fromEntries(permissionNames.map((name) => [name, ruleOf(name)])),
  env: process.env,
  ...(isolation === undefined ? {} : { isolation }),
  ...(location === undefined ? {} : { location }),
});
