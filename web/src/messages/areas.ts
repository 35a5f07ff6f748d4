/**
 * The texts by area, in English, which every other language is measured against.
 *
 * An area is loaded with the pages that name it (`routes/<area>/routes.ts`); `shell` always is.
 */
export interface Areas {
  shell: typeof import("./en/shell").default;
  entrance: typeof import("./en/entrance").default;
  overview: typeof import("./en/overview").default;
  onboarding: typeof import("./en/onboarding").default;
  nodes: typeof import("./en/nodes").default;
  network: typeof import("./en/network").default;
  earnings: typeof import("./en/earnings").default;
  referrals: typeof import("./en/referrals").default;
  rewards: typeof import("./en/rewards").default;
  notifications: typeof import("./en/notifications").default;
  settings: typeof import("./en/settings").default;
  admin: typeof import("./en/admin").default;
}

export type Area = keyof Areas;

/** The languages there are: what they call themselves, and which way they run. */
export const LANGUAGES = {
  en: { name: "English", dir: "ltr" },
  ar: { name: "العربية", dir: "rtl" },
  "zh-Hans": { name: "简体中文", dir: "ltr" },
} as const;

export type Language = keyof typeof LANGUAGES;
