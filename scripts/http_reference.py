"""Generates the HTTP API's reference page from the handlers, the codes and the kinds of events."""

import sys
from collections import defaultdict
from typing import Any, get_args

from generated import publish

from core.http.app import V1, Injected, make_api
from core.http.codes import CODES
from core.http.openapi import describe
from services.access import MEANINGS, Who
from services.audit import Kind

PAGE = "docs/reference/http.md"

# Codes that come by themselves: with a declaration, a body, a list or any request.
COMMON = {
    "bad_request",
    "body_too_large",
    "forbidden",
    "headers_too_large",
    "idempotency_mismatch",
    "in_progress",
    "invalid_input",
    "invalid_json",
    "not_found",
    "timeout",
    "token_expired",
    "token_invalid",
    "token_missing",
    "token_revoked",
    "too_many_requests",
    "unavailable",
    "unsupported_media_type",
}

HEAD = f"""\
# HTTP API

Everything is below `{V1}` and takes and gives JSON. The full description, with every field and error,
is OpenAPI 3.1 and comes from the running server: `GET {V1}/openapi.json`. Outside of it stand
`/healthz`, `/readyz`, `/metrics` and `/metrics.json`, see [Operations](../operations.md).

This page is generated from the handlers (`core/http`) and what they declare.

## Tokens

Signing in gives an *access token*, which goes with every request as `Authorization: Bearer …` and lives
`auth.access_ttl` seconds, ten minutes at most, and a *refresh token*, which gets the next pair and is
replaced each time. A browser that signs in with `"cookie": true` gets the refresh token as an HttpOnly
cookie instead; what is answered because of the cookie must come from the page itself or carry
`X-Pulseboard-CSRF: 1`. A refresh token that comes back after it was replaced ends its session: somebody
copied it. When a session ends, its access tokens serve no more, at once and everywhere.

A node has no refresh token: it signs its id and the time with its key at `POST /nodes/token`. What is
signed is listed under [WebSocket protocol](protocol.md#what-a-node-signs).

## Who may call

Every endpoint declares it, and the description shows it as `x-who`:

"""

ERRORS = """
## Errors

An error is a problem (RFC 9457), `application/problem+json`:

```json
{
  "type": "urn:pulseboard:problem:invalid_input",
  "title": "Invalid input",
  "status": 400,
  "detail": "password: must have 12 to 128 characters.",
  "code": "invalid_input",
  "field": "password",
  "request_id": "6f0c2b9f4be04c66a1d2000000000001"
}
```

`code` is stable and is what programs should look at; `detail` is a sentence for people. `field` names
the input at fault, if one is; `retry_after` is in seconds and the same as the header `Retry-After`.
`request_id` is also in the header `X-Request-Id`, in the server's log and in the audit log; a client or
proxy may choose it (8 to 64 letters, digits, `.`, `_` or `-`). An `error` message on the WebSocket
carries the same `code` and `detail`. What belongs to somebody else is answered like what is not there.

The description lists for every endpoint which of these it may answer:

| status | code | when |
| --- | --- | --- |
"""

LISTS = """
## Lists

Lists take `limit` (1 to 200, 50 if not given) and `cursor`, and return `items` and `next_cursor`, which
is null on the last page. A cursor means nothing but the place where the page before ended.

## Versions

`GET /me` and the description answer with an `ETag`. With `If-None-Match` they answer 304 while nothing
has changed; `PATCH /me` with `If-Match` answers 412 (`precondition_failed`) if somebody else changed it
meanwhile.

## Repeating a request

Where the description lists the header `Idempotency-Key` (8 to 128 visible ASCII characters, best a
UUID), a request that is sent again under the same key within 24 hours is answered as it was the first
time, with `Idempotency-Replayed: true`, and nothing is done twice. Keys are the caller's own. While the
first is being worked on, the second is answered 409 (`in_progress`); with another body, 422
(`idempotency_mismatch`). A request that failed did nothing and may be repeated under its key.

## Limits

| what | limit | beyond |
| --- | --- | --- |
| requests of a caller | `http.rate` a second over time, `http.burst` at once | 429 `too_many_requests` |
| sign-in attempts | [by address, account](../operations.md#limits-on-attempts) | 429 `too_many_attempts` |
| a body | `http.max_body` bytes | 413 `body_too_large` |
| line and headers | 32 KiB, whole within 10 seconds | 431 `headers_too_large`, 408 `request_timeout` |
| a request, body included | `http.request_timeout` seconds | 503 `timeout` |

A caller is a person, a node or, without a token, an IPv4 address or the /64 of an IPv6 address. Every
answer of the API tells in `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10)
how many requests are left.

## Values

Amounts are micro-points, whole numbers, sent as text: a JSON number cannot hold them exactly in every
language. Times are UTC in RFC 3339. Identifiers are UUIDs of version 7. Bytes are base64. A body's
fields are read strictly: an unknown field, a field that comes twice or a number written as text is
refused.
"""

AUDIT = """
## Security events

What matters to security is written down for `auth.audit_days` days, with who did it, to whom, when,
from which address and in which request. Operators read it at `GET /admin/audit`.

| kind | what happened |
| --- | --- |
"""


def endpoints(document: dict[str, Any]) -> str:
    """A table of endpoints for each tag."""
    by_tag: dict[str, list[str]] = defaultdict(list)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            codes = {code for answer in operation["responses"].values() for code in answer.get("x-codes", ())}
            own = ", ".join(f"`{code}`" for code in CODES if code in codes - COMMON)
            summary = operation["description"].split("\n\n")[0].replace("\n", " ")
            who = ", ".join(operation["x-who"])
            row = f"| `{method.upper()} {path.removeprefix(V1)}` | {who} | {summary} | {own} |\n"
            by_tag[operation["tags"][0]].append(row)
    parts = ["\n## Endpoints\n"]
    for tag in (each["name"] for each in document["tags"]):
        parts.append(
            f"\n### {tag.capitalize()}\n\n| endpoint | who | what | own errors |\n| --- | --- | --- | --- |\n"
        )
        parts += by_tag[tag]
    return "".join(parts)


def page() -> str:
    """The reference page, in Markdown."""
    services = dict.fromkeys(
        [
            *Injected.__struct_fields__,
            *("refresh_cookie", "device_cookie", "client", "operations", "description", "clock"),
        ]
    )
    document = describe(make_api(services, "", 0))
    who = "".join(f"| `{name}` | {MEANINGS[name]} |\n" for name in get_args(Who))
    problems = "".join(
        f"| {each.status} | `{code}` | {each.meaning} |\n"
        for code, each in sorted(CODES.items(), key=lambda pair: pair[1].status)
    )
    kinds = "".join(f"| `{kind.value}` | {kind.meaning} |\n" for kind in Kind)
    return "".join(
        [
            *(HEAD, "| name | who that is |\n| --- | --- |\n", who, endpoints(document)),
            *(ERRORS, problems, LISTS, AUDIT, kinds),
        ]
    )


if __name__ == "__main__":
    sys.exit(publish({PAGE: page()}, __doc__))
