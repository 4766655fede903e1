/**
 * Turns one message object of a Telegram Desktop export into a source entry.
 *
 * @module
 */

import type {
  RejectReason,
  SourceConversation,
  SourceEntry,
  SourceMedia,
  SourceUser,
} from "./source-contract.ts";
import {
  decodeLenient,
  decodeStrict,
  parseIsoDate,
  parseUnixSeconds,
  shown,
  storable,
} from "./source-values.ts";

/** What stands at the head of a chat; filled in as it is read. */
export interface Chat {
  id: string;
  name: string | null;
  type: string | null;
}

type Fields = Readonly<Record<string, unknown>>;

/** `bytes` is one JSON value: the element of `messages`. */
export function toTelegramEntry(position: number, bytes: Buffer, chat: Chat): SourceEntry {
  const text = decodeStrict(bytes);
  const value = parseJson(text ?? decodeLenient(bytes));
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return reject(position, null, "BAD_RECORD", "the message is not a JSON object");
  }
  const message = value as Fields;
  const id = idText(message["id"]);
  const sourceId = id === null ? null : `${chat.id}/${id}`;
  if (text === undefined) {
    return reject(position, sourceId, "BAD_ENCODING", "the message is not valid UTF-8");
  }
  if (sourceId === null) return reject(position, null, "MISSING_ID", "the message has no id");
  const sentAt = readDate(message, "date");
  if (sentAt === undefined) {
    const given = message["date_unixtime"] ?? message["date"];
    return given === undefined || given === null || given === ""
      ? reject(position, sourceId, "NO_DATE", "the message has no date")
      : reject(position, sourceId, "BAD_DATE", `date is ${shown(given)}, not a date`);
  }
  const body = textOf(message["text"]);
  if (body === undefined) {
    return reject(position, sourceId, "BAD_RECORD", "text is neither a string nor a list of texts");
  }
  if (!body.isWellFormed()) {
    return reject(position, sourceId, "BAD_ENCODING", "text has half of a surrogate pair");
  }
  const replyTo = idText(message["reply_to_message_id"]);
  return {
    type: "record",
    position,
    sourceId,
    conversation: conversationOf(chat),
    user: userOf(message),
    media: mediaOf(message, sourceId),
    sentAt,
    editedAt: readDate(message, "edited") ?? null,
    kind: stringOf(message["type"]),
    replyTo: replyTo === null ? null : `${chat.id}/${replyTo}`,
    content: new TextEncoder().encode(body),
  };
}

function reject(
  position: number,
  sourceId: string | null,
  reason: RejectReason,
  detail: string,
): SourceEntry {
  return {
    type: "reject",
    position,
    sourceId: sourceId === null ? null : storable(sourceId),
    reason,
    detail,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function idText(value: unknown): string | null {
  if (typeof value === "number" && Number.isSafeInteger(value)) return String(value);
  return typeof value === "string" && value !== "" ? storable(value) : null;
}

function stringOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? storable(value) : null;
}

/** `<key>_unixtime` (seconds, as text), else `<key>`; `undefined` when neither is a date. */
function readDate(message: Fields, key: "date" | "edited"): Date | undefined {
  const seconds = message[`${key}_unixtime`];
  if (seconds !== undefined && seconds !== null && seconds !== "") {
    if (typeof seconds === "number") return parseUnixSeconds(seconds);
    const isNumber = typeof seconds === "string" && /^-?\d+$/.test(seconds);
    return isNumber ? parseUnixSeconds(Number(seconds)) : undefined;
  }
  const text = message[key];
  return typeof text === "string" ? parseIsoDate(text) : undefined;
}

/** A text, or a list of texts and entities `{type, text}`, joined. */
function textOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  let joined = "";
  for (const part of value as readonly unknown[]) {
    const text =
      typeof part === "object" && part !== null ? (part as { text?: unknown }).text : part;
    if (typeof text !== "string") return undefined;
    joined += text;
  }
  return joined;
}

function conversationOf(chat: Chat): SourceConversation {
  return {
    sourceId: storable(chat.id),
    title: chat.name === null ? null : storable(chat.name),
    kind: chat.type === null ? null : storable(chat.type),
  };
}

/** `from` of messages, `actor` of service messages; a deleted account has an id and no name. */
function userOf(message: Fields): SourceUser | null {
  const sourceId = idText(message["from_id"]) ?? idText(message["actor_id"]);
  const name = stringOf(message["from"]) ?? stringOf(message["actor"]);
  if (sourceId === null && name === null) return null;
  return {
    sourceId: sourceId ?? name ?? "",
    username: null,
    firstName: name,
    lastName: null,
    tags: null,
  };
}

function mediaOf(message: Fields, sourceId: string): SourceMedia | null {
  const photo = stringOf(message["photo"]);
  const url = photo ?? stringOf(message["file"]);
  if (url === null) return null;
  return {
    sourceId,
    kind: stringOf(message["media_type"]) ?? (photo === null ? "file" : "photo"),
    url,
    title: stringOf(message["file_name"]) ?? stringOf(message["title"]),
    description: stringOf(message["mime_type"]),
    thumb: stringOf(message["thumbnail"]),
    checksum: null,
  };
}
