/**
 * What `http/` needs of a log; pino and the runtime's own log both fit.
 *
 * @module
 */

export interface HttpLog {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}
