/**
 * Opens a Deno worker where there is no Deno, and prints what comes of it.
 *
 * @module
 */

import { noPermissions } from "../../machines/permissions.ts";
import { openDeno } from "../../runtime/worker/web/carriers/deno-carrier.ts";

const silent = (): void => undefined;
try {
  openDeno(
    { url: "data:text/javascript,", name: "lonely", permissions: noPermissions, env: {} },
    { message: silent, messageerror: silent, fault: silent, exit: silent },
  );
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  process.stdout.write(JSON.stringify({ code, message }));
}
