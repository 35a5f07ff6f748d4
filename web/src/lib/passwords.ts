import { t } from "./text.svelte";

/** As the server has it; it has the last word. */
export const PASSWORD_MIN = 12;

/** What is wrong with a password to be, in words; null if nothing is. */
export function newPasswordFault(password: string): string | null {
  if (!password) return t("auth.missing.password");
  return [...password].length < PASSWORD_MIN ? t("auth.short.password", { count: PASSWORD_MIN }) : null;
}
