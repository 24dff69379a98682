/**
 * The one error class of the library. What the world does wrong (files, machines, devices, limits of a loaded model)
 * is a TernionError with a stable `code`; what the caller does wrong (a bad option value) is a TypeError or RangeError.
 */
export type ErrorCode =
  // the file as GGUF
  | "GGUF_NOT_FOUND"
  | "GGUF_MAGIC"
  | "GGUF_VERSION"
  | "GGUF_ENDIAN"
  | "GGUF_TRUNCATED"
  | "GGUF_COUNT"
  | "GGUF_STRING"
  | "GGUF_VALUE_TYPE"
  | "GGUF_DUPLICATE"
  | "GGUF_ALIGNMENT"
  | "GGUF_DIMS"
  | "GGUF_TENSOR_TYPE"
  | "GGUF_OVERFLOW"
  | "GGUF_OFFSET"
  | "GGUF_READ"
  | "GGUF_WRITE"
  // the file as a model
  | "MODEL_ARCH"
  | "MODEL_KEY"
  | "MODEL_TENSOR"
  | "MODEL_CODES"
  | "MODEL_REPAIR"
  | "MODEL_DOWNLOAD"
  // another engine's dump
  | "VERIFY_DUMP"
  // text
  | "TOKENIZER"
  | "CHAT_TEMPLATE"
  // the installation
  | "PACKAGE_MISSING"
  // running
  | "BACKEND_UNAVAILABLE"
  | "BACKEND_FAILED"
  | "OUT_OF_MEMORY"
  | "DEVICE_LOST"
  | "SHADER"
  | "CONTEXT_OVERFLOW"
  | "NO_FREE_SESSION"
  | "SESSION_BUSY"
  | "CLOSED";

export class TernionError extends Error {
  override readonly name = "TernionError";
  readonly code: ErrorCode;

  /** `message` says what happened, what was expected, what was found, and what to do. */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
