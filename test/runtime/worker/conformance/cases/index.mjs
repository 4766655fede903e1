/**
 * All rows of the conformance list: `[row, title, async (tools) => …]`.
 * A case passes when it returns. Rows and sources: `docs/worker-conformance.md`.
 *
 * @module
 */

import { capabilityCases } from "./capabilities.mjs";
import { constructorCases } from "./constructor.mjs";
import { errorCases } from "./errors.mjs";
import { lifetimeCases } from "./lifetime.mjs";
import { messageCases } from "./messages.mjs";
import { permissionCases } from "./permissions.mjs";
import { scopeCases } from "./scope.mjs";
import { transferCases } from "./transfer.mjs";

export const cases = [
  ...constructorCases,
  ...messageCases,
  ...transferCases,
  ...scopeCases,
  ...errorCases,
  ...lifetimeCases,
  ...permissionCases,
  ...capabilityCases,
];
