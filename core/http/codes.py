"""Every code of a problem: its status and when it is sent. The reference page is made from this."""

from typing import Final

from msgspec import Struct


class Code(Struct, frozen=True):
    """A problem's HTTP status, and when a client meets it."""

    status: int
    meaning: str


CODES: Final[dict[str, Code]] = {
    # What the protocol itself refuses.
    "bad_request": Code(400, "What was sent is no HTTP, or broke off."),
    "not_found": Code(404, "There is nothing at this address, or it is not yours."),
    "method_not_allowed": Code(405, "This address does not take this method; `Allow` lists those it takes."),
    "request_timeout": Code(408, "The request's line and headers did not come whole in 10 seconds."),
    "body_too_large": Code(413, "The body is longer than `http.max_body`."),
    "unsupported_media_type": Code(415, "The body is not `application/json`."),
    "headers_too_large": Code(431, "The request's line and headers are longer than 32 KiB together."),
    "internal": Code(500, "A fault of ours; the server's log has it under the `request_id`."),
    "timeout": Code(503, "The request took longer than `http.request_timeout`; nothing was half-done."),
    "unavailable": Code(503, "A server behind this one does not answer: try again after `Retry-After`."),
    "draining": Code(503, "This process is about to stop."),
    "not_ready": Code(503, "What this process needs does not answer; `checks` says what."),
    # What is sent.
    "invalid_json": Code(400, "The body is no JSON."),
    "invalid_input": Code(400, "A value breaks a rule; `field` names it."),
    # Who sends it.
    "token_missing": Code(401, "This needs an access token."),
    "token_invalid": Code(401, "The token is not one of ours, or its account is gone."),
    "token_expired": Code(401, "The token has expired: refresh it."),
    "token_revoked": Code(401, "The session that the token came from has ended: sign in again."),
    "forbidden": Code(403, "The token is good, but not for this: another kind of token or role is needed."),
    "csrf": Code(
        403, "The cookie came from another site's page, or without the header that shows it did not."
    ),
    # How often.
    "too_many_requests": Code(429, "More requests than `http.rate` allows: wait `retry_after` seconds."),
    "too_many_attempts": Code(429, "Too many attempts at this: wait `retry_after` seconds."),
    "busy": Code(429, "Too many people sign in at this moment: wait `retry_after` seconds."),
    # Once only.
    "in_progress": Code(409, "A request with this `Idempotency-Key` is being worked on."),
    "idempotency_mismatch": Code(422, "This `Idempotency-Key` was used for another request."),
    "precondition_failed": Code(412, "It was changed since: `If-Match` names an older version."),
    # Accounts and sessions.
    "link_invalid": Code(400, "The token of a link from a mail is unknown, has served or has expired."),
    "password_common": Code(
        400, "The password is on the list of common ones, or too close to name or address."
    ),
    "invalid_credentials": Code(
        401, "The e-mail address or the password is wrong, or the account unconfirmed."
    ),
    "second_factor_required": Code(401, "The password is right; send a `code` of the second factor too."),
    "second_factor_invalid": Code(401, "The code of the second factor is wrong or was used before."),
    "second_factor_on": Code(409, "There is a second factor already."),
    "second_factor_off": Code(409, "There is no second factor, or none was asked for."),
    "challenge_invalid": Code(400, "The nonce for the wallet is not ours, has served or has expired."),
    "wallet_taken": Code(409, "The wallet is linked to another account."),
    "refresh_invalid": Code(401, "The refresh token is unknown, or its session has ended: sign in again."),
    "refresh_reused": Code(
        401, "The refresh token was replaced before; its session was ended: sign in again."
    ),
    "refresh_raced": Code(409, "The refresh token was replaced a moment ago; use the newer one."),
    "session_not_found": Code(404, "You have no session with this id."),
    # The staff.
    "user_not_found": Code(404, "There is no account with this id."),
    "own_role": Code(409, "Nobody changes their own role."),
    # Nodes.
    "signature_invalid": Code(400, "The signature does not fit the public key, or the wallet."),
    "key_taken": Code(409, "The key belongs to a node of somebody else."),
    "node_not_found": Code(404, "You have no node with this id."),
    "range_invalid": Code(400, "The range of time ends before it begins, or is outside the calendar."),
    "range_too_long": Code(
        400, "The range has more steps than `most_points`; ask for less, or longer steps."
    ),
    "range_too_old": Code(400, "By this step nothing is kept for longer than `days`."),
    "clock_skew": Code(
        401, "The time that was signed is too far off; `server_time` is ours, in milliseconds."
    ),
    "node_rejected": Code(401, "There is no such node, or the signature is not its own."),
    "node_suspended": Code(403, "The node is suspended; `detail` says why. Ask again in ten minutes."),
    "node_not_suspended": Code(409, "The node is not suspended."),
    "rule_not_found": Code(404, "There is no rule of abuse by this name."),
    "rule_changed": Code(409, "The rule has a newer version than the one named: read it again."),
    "flag_not_found": Code(404, "There is no such flag, or it is not active any more."),
    # Referrals.
    "referral_code_taken": Code(409, "Somebody has this referral code, or nobody may have it."),
    "referral_codes_most": Code(409, "You have as many referral codes of this sort as there may be."),
    "referral_code_not_found": Code(404, "There is no such referral code."),
    "referral_not_found": Code(404, "There is no referral with this id."),
    # Campaigns.
    "campaign_not_found": Code(404, "There is no campaign with this id."),
    "campaign_changed": Code(409, "The campaign has a newer version than the one named: read it again."),
    "campaign_over": Code(409, "The campaign is over: it cannot be changed any more."),
    "campaign_begun": Code(409, "The campaign has begun: its beginning and its share stay."),
    "campaign_spent": Code(409, "More than this budget is spent already."),
    "campaigns_most": Code(409, "There are as many campaigns that are not over as there may be."),
    # Earnings.
    "epoch_not_found": Code(404, "There is no closed epoch with this number."),
    "ledger_check_waiting": Code(409, "A check of the ledger is under way, or about to begin."),
    "wallet_missing": Code(409, "A claim goes to a wallet, and none is linked."),
    "nothing_to_claim": Code(409, "Nothing is claimable now."),
    "signature_used": Code(401, "The signature has served; sign the current time."),
}
