/**
 * The one error class of this folder: a condition of the machine that a person must change.
 *
 * @module
 */

export type NativeErrorCode =
  /** The data folder cannot be created, read or written. */
  | "DATA_DIR_UNWRITABLE"
  /** Another live process holds the data folder. */
  | "DATA_DIR_LOCKED"
  /** The data folder holds something that this version must not touch. */
  | "DATA_DIR_FOREIGN"
  /** The embedded server cannot run on this operating system at all. */
  | "PLATFORM_UNSUPPORTED"
  /** No PostgreSQL binaries are installed for this platform. */
  | "POSTGRES_PACKAGE_MISSING"
  /** The PostgreSQL binaries are there but do not run here. */
  | "POSTGRES_BINARY_UNUSABLE"
  | "POSTGRES_INIT_FAILED"
  | "POSTGRES_START_FAILED"
  | "POSTGRES_START_TIMEOUT"
  | "DISK_FULL"
  /** The address is in use by another process. */
  | "PORT_TAKEN"
  /** The address cannot be listened on for another reason, such as a privileged port. */
  | "LISTEN_FAILED"
  /** The asked-for kind of HTTP server does not load on this machine. */
  | "HTTP_HOST_UNAVAILABLE";

/** Its message is one line: what cannot be done, where, and what to do. Repeating never helps. */
export class NativeError extends Error {
  override readonly name = "NativeError";
  readonly code: NativeErrorCode;
  readonly retryable = false;

  constructor(code: NativeErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}

/** The `code` of a Node system error, such as `ENOENT`; undefined for anything else. */
export function systemCode(thrown: unknown): string | undefined {
  const code = thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** Says why a file operation failed, in words, for the end of a message. */
export function describeSystemError(thrown: unknown): string {
  switch (systemCode(thrown)) {
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "EROFS":
      return "the file system is read-only";
    case "ENOTDIR":
    case "EEXIST":
      return "a file is in the way";
    case "ENOSPC":
    case "EDQUOT":
      return "the disk is full";
    case undefined:
    default:
      return thrown instanceof Error ? thrown.message : String(thrown);
  }
}
