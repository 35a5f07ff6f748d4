const KEY = "pulseboard.invitation";

/** The referral code of the link that somebody followed, now or earlier in this tab; "" if none. */
export function invitation(query: URLSearchParams): string {
  const code = query.get("code")?.trim() ?? "";
  try {
    if (code) sessionStorage.setItem(KEY, code);
    return code || (sessionStorage.getItem(KEY) ?? "");
  } catch {
    return code; // storage is denied: it holds as long as the address has it
  }
}

/** It has served. */
export function forgetInvitation(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There was none to forget.
  }
}
