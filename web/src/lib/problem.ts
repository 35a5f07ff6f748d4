import { has, type Key, locale, t } from "./text.svelte";

/** A refusal of the API (RFC 9457): the HTTP status, a stable code and one sentence. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly extra: Readonly<Record<string, unknown>> = {},
  ) {
    super(`${code}: ${detail}`);
    this.name = "Problem";
  }

  /** The field of the request that is at fault, if one is. */
  get field(): string | null {
    return typeof this.extra.field === "string" ? this.extra.field : null;
  }
}

/** The API could not be asked: no network, no server, no answer in time. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super("the server could not be reached", { cause });
    this.name = "Unreachable";
  }
}

/** What happened, in a sentence for people. */
export function inWords(error: unknown): string {
  if (error instanceof Unreachable) return t("error.unreachable");
  if (!(error instanceof Problem)) return t("error.unexpected");
  const key = `problem.${error.code}`;
  if (has(key)) return t(key as Key);
  if (error.status === 429) return tooMany(error.extra.retry_after);
  if (error.status >= 500) return t("error.server");
  return sentence(error) || t("error.unexpected");
}

/** The detail without the field's name before it: it stands under the field. */
function sentence({ detail, field }: Problem): string {
  const text = field !== null && detail.startsWith(`${field}: `) ? detail.slice(field.length + 2) : detail;
  return text.charAt(0).toLocaleUpperCase(locale()) + text.slice(1);
}

function tooMany(retryAfter: unknown): string {
  const seconds = Math.ceil(Number(retryAfter));
  return seconds > 0 ? t("error.too_many_wait", { count: seconds }) : t("error.too_many");
}
