/**
 * The agents that come with SPECTRA, in the order of the specification's table.
 *
 * @module
 */

import type { AgentDefinition } from "../define-agent.ts";
import { apidesigner } from "./apidesigner/agent.ts";
import { architect } from "./architect/agent.ts";
import { database } from "./database/agent.ts";
import { datascience } from "./datascience/agent.ts";
import { debuggerAgent } from "./debugger/agent.ts";
import { deployer } from "./deployer/agent.ts";
import { director } from "./director/agent.ts";
import { hardwareIntel } from "./hardware-intel/agent.ts";
import { infrastructure } from "./infrastructure/agent.ts";
import { mlops } from "./mlops/agent.ts";
import { monitor } from "./monitor/agent.ts";
import { optimizer } from "./optimizer/agent.ts";
import { patcher } from "./patcher/agent.ts";
import { projectorchestrator } from "./projectorchestrator/agent.ts";
import { security } from "./security/agent.ts";
import { testbed } from "./testbed/agent.ts";
import { web } from "./web/agent.ts";

export const agentDefinitions: readonly AgentDefinition[] = [
  director,
  projectorchestrator,
  infrastructure,
  database,
  architect,
  optimizer,
  hardwareIntel,
  patcher,
  testbed,
  debuggerAgent,
  datascience,
  mlops,
  deployer,
  monitor,
  security,
  web,
  apidesigner,
];
