/**
 * Reads a Telegram Desktop export (`result.json`): one chat, or all chats of an account.
 *
 * Message ids are unique in a chat only, so that the source id is `<chat id>/<message id>`.
 * Times come from `date_unixtime`; exports without it have local times, which are read as UTC.
 *
 * @module
 */

import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { AgentError } from "../../machines/error-code.ts";
import { type JsonPath, JsonScanError, type ScanOptions, scanJson } from "./json-scanner.ts";
import { type ArchiveSource, maxBodyBytes, type SourceEntry } from "./source-contract.ts";
import { checkFile, fileError } from "./source-file.ts";
import { type Chat, toTelegramEntry } from "./telegram-message.ts";

const chunkBytes = 256 * 1024;

export async function openTelegram(url: string, path: string): Promise<ArchiveSource> {
  const given = await checkFile(path);
  const file = given.isDirectory ? join(path, "result.json") : path;
  const { sizeBytes, isDirectory, fingerprint } = given.isDirectory ? await checkFile(file) : given;
  if (isDirectory) {
    throw new AgentError("ARCHIVE_UNREADABLE", `Cannot read the archive "${file}": it is a folder`);
  }
  await checkEnd(file, sizeBytes);
  await findMessages(file);
  return {
    url,
    format: "telegram",
    sizeBytes,
    fingerprint,
    remarks: [],
    expected: undefined,
    sameId: "reject",
    close: () => undefined,
    read: (options) => readMessages(file, options?.after ?? 0),
  };
}

/** A whole export ends with `}`: finds a cut-off file without reading it. */
async function checkEnd(file: string, sizeBytes: number): Promise<void> {
  const tail = Buffer.alloc(Math.min(sizeBytes, 1_024));
  try {
    const handle = await open(file, "r");
    await handle.read(tail, 0, tail.length, sizeBytes - tail.length);
    await handle.close();
  } catch (error) {
    throw fileError(file, error);
  }
  const text = tail.toString("latin1").trimEnd();
  const head = text.trimStart().slice(0, 1);
  if (sizeBytes <= tail.length && head !== "{" && !text.startsWith("\u00ef\u00bb\u00bf{")) {
    throw notAnExport(file, "it does not start with an object");
  }
  if (!text.endsWith("}")) {
    throw new AgentError(
      "ARCHIVE_TRUNCATED",
      `Cannot read "${file}" as a Telegram export: its end is missing, export or copy it again`,
    );
  }
}

function notAnExport(file: string, why: string, cause?: unknown): AgentError {
  return new AgentError("ARCHIVE_SCHEMA", `Cannot read "${file}" as a Telegram export: ${why}`, {
    cause,
  });
}

/** Reads to the first list of messages. @throws {AgentError} `ARCHIVE_SCHEMA` when there is none. */
async function findMessages(file: string): Promise<void> {
  let isFound = false;
  const stream = createReadStream(file, { highWaterMark: chunkBytes });
  const options: ScanOptions = {
    maxValueBytes: maxBodyBytes,
    choose: (path, start) => {
      const choice = choose(path, start);
      isFound ||= choice === "enter" && path.at(-1) === "messages";
      return choice;
    },
  };
  const chunksUntilFound = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of stream) {
      yield chunk as Buffer;
      if (isFound) return;
    }
  };
  try {
    for await (const event of scanJson(chunksUntilFound(), options)) {
      if (isFound || event.type === "oversize") break;
    }
  } catch (error) {
    if (!isFound) throw scanError(file, error);
  } finally {
    stream.destroy();
  }
  if (!isFound) throw notAnExport(file, 'it has neither "messages" nor "chats"');
}

function scanError(file: string, error: unknown): AgentError {
  if (!(error instanceof JsonScanError)) return fileError(file, error);
  if (!error.isTruncated) return notAnExport(file, `it is not JSON (${error.message})`, error);
  return new AgentError(
    "ARCHIVE_TRUNCATED",
    `Cannot read "${file}" as a Telegram export: its end is missing (${error.message}), export or copy it again`,
    { cause: error },
  );
}

/** Depth of the chat object in a path: 0 for a one-chat export, 3 inside `chats.list`. */
function chatDepth(path: JsonPath): number {
  return path[0] === "chats" || path[0] === "left_chats" ? 3 : 0;
}

function choose(path: JsonPath, start: "{" | "[" | "scalar"): "enter" | "take" | "skip" {
  const depth = chatDepth(path);
  const inChat = path.slice(depth);
  if (path.length < depth) {
    return path.length === 1 || path[1] === "list" ? "enter" : "skip";
  }
  if (inChat.length === 0) return start === "{" ? "enter" : "skip";
  if (inChat[0] === "messages") {
    if (inChat.length === 1) return start === "[" ? "enter" : "skip";
    return "take";
  }
  const isHeader = inChat[0] === "id" || inChat[0] === "name" || inChat[0] === "type";
  return isHeader && start === "scalar" ? "take" : "skip";
}

async function* readMessages(file: string, after: number): AsyncGenerator<SourceEntry> {
  const stream = createReadStream(file, { highWaterMark: chunkBytes });
  let chat: Chat = newChat(0);
  let chats = 0;
  let position = 0;
  try {
    for await (const event of scanJson(stream, { maxValueBytes: maxBodyBytes, choose })) {
      const inChat = event.path.slice(chatDepth(event.path));
      if (event.type === "end") {
        if (inChat.length === 0) {
          chats += 1;
          chat = newChat(chats);
        }
        continue;
      }
      if (inChat[0] !== "messages") {
        if (event.type === "value") readHeader(chat, String(inChat[0]), event.bytes);
        continue;
      }
      position += 1;
      if (position <= after) continue;
      yield event.type === "value"
        ? toTelegramEntry(position, event.bytes, chat)
        : {
            type: "reject",
            position,
            sourceId: null,
            reason: "TOO_LARGE",
            detail: `the message has ${event.sizeBytes} bytes, at most ${maxBodyBytes} are taken`,
          };
    }
  } catch (error) {
    throw error instanceof AgentError ? error : scanError(file, error);
  } finally {
    stream.destroy();
  }
}

function newChat(ordinal: number): Chat {
  return { id: `chat-${ordinal + 1}`, name: null, type: null };
}

/** Headers stand before the messages; a malformed one leaves the chat's ordinal as its id. */
function readHeader(chat: Chat, key: string, bytes: Buffer): void {
  const text = bytes.toString();
  if (text === "null") return;
  if (key === "id") {
    chat.id = /^-?\d+$/.test(text) ? text : text.replaceAll('"', "");
  } else {
    try {
      chat[key === "name" ? "name" : "type"] = String(JSON.parse(text));
    } catch {
      chat[key === "name" ? "name" : "type"] = null;
    }
  }
}
