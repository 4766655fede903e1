/**
 * INFRASTRUCTURE: prepares the servers that the archive lives on.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriving } from "../../workflows/phase1/week-barrier.ts";
import { deployRedisCluster } from "./deploy-redis-cluster.ts";
import { setupPostgresqlCluster } from "./setup-postgresql-cluster.ts";

export const infrastructure = defineAgent({
  name: "INFRASTRUCTURE",
  category: "infrastructure",
  description: "prepares the servers that the archive lives on",
  skills: ["cloud_setup", "kubernetes_management", "resource_provisioning"],
  concurrency: 2,
  resources: { cpu: 0.5, memoryMb: 1024 },
  // The data folder only for the free space of its disk.
  permissions: { read: ["<data>"], net: ["<redis>"], sys: ["statfs"] },
  dependsOn: [],
  capabilities: {
    deploy_redis_cluster: arriving(deployRedisCluster),
    setup_postgresql_cluster: arriving(setupPostgresqlCluster),
  },
});
