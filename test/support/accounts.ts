/**
 * Users that every Linux has, for processes that are started as somebody else: only root can.
 * `npm test` leaves out the files that import this where it does not run as root.
 *
 * @module
 */

export const nobody = { uid: 65_534, gid: 65_534 };
export const daemon = { uid: 1, gid: 1 };
/** Has no line in /etc/passwd. */
export const stranger = { uid: 54_321, gid: 54_321 };
