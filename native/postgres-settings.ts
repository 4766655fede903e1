/**
 * The configuration files of the embedded server, written anew at every start.
 *
 * @module
 */

import { SOCKET_PORT } from "./postgres-placement.ts";

/** `loopback` also opens a port on 127.0.0.1, for clients that need an address. */
export type Listen =
  | { readonly type: "socket" }
  | { readonly type: "loopback"; readonly port: number };

/** Text of postgresql.conf. `extra` wins; ALTER SYSTEM wins over both. */
export function postgresConf(
  listen: Listen,
  socketDir: string,
  extra: Readonly<Record<string, string>>,
): string {
  const settings: Record<string, string> = {
    listen_addresses: listen.type === "loopback" ? "127.0.0.1" : "",
    port: String(listen.type === "loopback" ? listen.port : SOCKET_PORT),
    unix_socket_directories: socketDir,
    unix_socket_permissions: "0700",
    password_encryption: "scram-sha-256",
    cluster_name: "spectra",
    max_connections: "50",
    shared_buffers: "128MB",
    work_mem: "8MB",
    maintenance_work_mem: "128MB",
    fsync: "on",
    synchronous_commit: "on",
    full_page_writes: "on",
    // Bulk loads write fast: fewer, larger checkpoints.
    wal_buffers: "16MB",
    max_wal_size: "1GB",
    min_wal_size: "80MB",
    checkpoint_timeout: "15min",
    // The planner's default is for spinning disks.
    random_page_cost: "1.1",
    timezone: "UTC",
    log_timezone: "UTC",
    datestyle: "iso, ymd",
    lc_messages: "C",
    // We own the file behind stderr and bound its size.
    log_destination: "stderr",
    logging_collector: "off",
    log_line_prefix: "%m [%p] %a ",
    log_checkpoints: "off",
    ...extra,
  };
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`,
  );
  return `# Written by SPECTRA at every start. Lasting changes: ALTER SYSTEM.\n${lines.join("\n")}\n`;
}

/** Text of pg_hba.conf: a password always, and no network but loopback where asked for. */
export function hbaConf(listen: Listen): string {
  const lines = ["local all all scram-sha-256", "local replication all scram-sha-256"];
  if (listen.type === "loopback") lines.push("host all all 127.0.0.1/32 scram-sha-256");
  return `# Written by SPECTRA at every start.\n${lines.join("\n")}\n`;
}
