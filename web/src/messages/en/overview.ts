import type { Messages } from "../types";

export default {
  "meter.title": "Accruing",
  "meter.points": "points",
  "meter.balance": "Balance",
  "meter.balance.lead": "All that is booked",
  "meter.lead": "An estimate of what the open epoch will pay you",
  "meter.range": "between {least} and {most} when it closes",
  "meter.none": "Not measured yet: no epoch has begun.",
  "meter.unmeasured": "Not measured yet: none of your nodes has been online.",
  "meter.rate": "+{points} in the last {span}",
  "meter.quiet": "No change in the last {span}",
  "meter.how": "How this comes about",

  "epoch.name": "Epoch {number}",
  "epoch.open": "closes in {span}",
  "epoch.due": "is being closed",
  "epoch.progress": "Epoch {number}: {share} of its time is over",

  "strip.title": "Last five minutes",
  "strip.now": "now",
  "strip.start": "{count} min ago",
  "strip.summary": "Points gained in the last five minutes: {points}. Watched for {watched}.",
  "strip.legend.unmeasured": "not watched",

  "today.title": "Today",
  "today.booked": "Booked so far",
  "today.projected": "By midnight, if all goes on like this",
  "today.projected.none": "An estimate for the day comes once more has been measured.",

  "stat.confirmed": "Confirmed uptime",
  "stat.confirmed.lead": "All nodes together",
  "stat.uptime": "Uptime, 24 hours",
  "stat.uptime.lead": "Of the time your nodes could have been online",
  "stat.uptime.none": "Not measured in the last 24 hours.",
  "stat.uptime.hours": "Uptime by hour",
  "stat.nodes": "Your nodes online",
  "stat.nodes.of": "of",
  "stat.nodes.none": "No node yet",
  "stat.nodes.all": "All of them",
  "stat.nodes.missing": { one: "{count} is away", other: "{count} are away" },

  "overview.nodes.all": { one: "All {count} node", other: "All {count} nodes" },
} as const satisfies Messages;
