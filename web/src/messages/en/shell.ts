import type { Messages } from "../types";

export default {
  "app.name": "Pulseboard",
  "app.skip": "Skip to content",
  "app.version": "Pulseboard {version}",

  "auth.password.new": "New password",
  "auth.code": "Code",
  "auth.code.hint": "Six digits from your authenticator app, or a recovery code.",
  "auth.missing.code": "Enter the code.",
  "auth.email": "E-mail",
  "auth.password": "Password",
  "auth.password.show": "Show password",
  "auth.password.hide": "Hide password",
  "auth.password.hint": "At least {count} characters. A short sentence works well.",
  "auth.name": "Display name",
  "auth.missing.password": "Enter your password.",
  "auth.short.password": "Use at least {count} characters.",
  "auth.logout": "Sign out",

  "restore.trouble": "The server cannot be reached. We keep trying.",
  "restore.retry": "Try now",

  "theme.to_dark": "Switch to dark colours",
  "theme.to_light": "Switch to light colours",

  "connection.label": "Connection",
  "connection.live": "Live",
  "connection.connecting": "Connecting",
  "connection.reconnecting": "Reconnecting",
  "connection.offline": "Offline",
  "connection.age": "figures are {age} old",
  "connection.retry": "Try again",
  "connection.closed.connection_limit": "Too many pages of this account are open. Close some, then try again.",
  "connection.closed.rate_limit": "This page was too busy for the server and was disconnected.",
  "connection.closed.other": "The server ended the live connection (code {code}).",

  "nodes.state": "State",
  "nodes.state.online": "Online",
  "nodes.state.degraded": "Degraded",
  "nodes.state.flapping": "Comes and goes",
  "nodes.state.offline": "Offline",
  "nodes.state.suspended": "Suspended",
  "nodes.state.never": "Never online",
  "nodes.why.degraded": "It is connected, but did not answer its last challenges. Time counts again once it does.",
  "nodes.why.flapping": "It loses its connection again and again. It counts as degraded until it has been steady for a while.",
  "nodes.why.suspended": "An operator or a rule against abuse has suspended it. Nothing it does counts.",
  "nodes.since": "for {span}",

  "missing.title": "There is no such page",
  "missing.back": "Back to the overview",

  "unmeasured": "–",
  "unmeasured.word": "not measured",

  "problem.invalid_credentials": "The e-mail address or the password is wrong, or the address is not confirmed yet.",
  "problem.second_factor_invalid": "This code is wrong or was used before.",
  "problem.link_invalid": "This link has served already, has expired, or is not complete.",
  "problem.password_common": "This password is among those that are tried first. Choose another.",
  "problem.busy": "Many people sign in at this moment. Try again in a second.",

  "error.unreachable": "The server cannot be reached. Check your connection and try again.",
  "error.server": "The server had a problem. Nothing was lost; try again in a moment.",
  "error.unexpected": "Something went wrong. Try again.",
  "error.too_many": "That was too often. Wait a moment, then try again.",
  "error.too_many_wait": {
    one: "That was too often. Try again in {count} second.",
    other: "That was too often. Try again in {count} seconds.",
  },

  "copy.copy": "Copy",
  "copy.copied": "Copied",
  "copy.failed": "Select the text and copy it by hand.",

  "nav.label": "Main",
  "nav.overview": "Overview",
  "nav.earnings": "Earnings",
  "nav.network": "Network",
  "nav.nodes": "Nodes",
  "nav.referrals": "Referrals",
  "nav.rewards": "Rewards",
  "nav.notifications": "Notifications",
  "nav.settings": "Settings",
  "nav.admin": "Operations",
  "nav.more": "More",
  "nav.menu": "Menu",
  "nav.loaded": "{title}, page loaded",

  "account.menu": "Account of {name}",
  "account.settings": "Settings",
  "account.language": "Language",

  "palette.open": "Search and commands",
  "palette.hint": "Search pages and actions",
  "palette.none": "Nothing is called “{text}”.",
  "palette.pages": "Pages",
  "palette.actions": "Actions",
  "palette.keys": "Arrow keys choose, Enter opens, Escape closes.",

  "banner.reconnecting": "Reconnecting. What you see is {age} old.",
  "banner.offline": "You are offline. What you see is {age} old.",

  "toast.region": "News",
  "toast.dismiss": "Dismiss",

  "loading.page": "Loading",
  "loading.failed": "This page could not be loaded.",
  "loading.failed.lead": "Your connection may be away, or Pulseboard was updated meanwhile. Reloading helps; nothing you typed elsewhere was sent.",
  "loading.reload": "Reload",
  "loading.retry": "Try again",
  "loading.stale": "These figures are {age} old: {reason}",

  "estimate.word": "estimate",
  "estimate.range": "between {least} and {most}",

  "amount.points": "points",
  "amount.how": "How this came about",

  "table.sort": "Sort by {column}",
  "table.more": "Show more",

  "chart.table": "Show as a table",
  "chart.chart": "Show as a chart",
  "chart.time": "Time",
  "chart.none": "Nothing was measured in this time.",

  "spark.summary": "From {least} to {most}, now {last}",

  "dialog.close": "Close",

  "ago.now": "just now",
} as const satisfies Messages;
