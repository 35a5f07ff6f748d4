import type { Messages } from "../types";

export default {
  "notifications.page": "Notifications",
  "notifications.lead": "What happened while you were away will be kept here.",
  "notifications.none": "Nothing is here yet",
  "notifications.none.lead": "This server keeps no notifications so far. Once it does, they come here without a reload.",
  "notifications.meanwhile": "Where to look meanwhile",
  "notifications.meanwhile.lead": "Each of these is live.",
  "notifications.epochs": "Closed epochs",
  "notifications.epochs.lead": "What each of them paid you, and why",
  "notifications.nodes": "Your nodes",
  "notifications.nodes.lead": "Which are online, and which are not",
  "notifications.referrals": "Referrals",
  "notifications.referrals.lead": "Who joined, and who is active",
  "notifications.sessions": "Sign-ins",
  "notifications.sessions.lead": "Where your account is open",
} as const satisfies Messages;
