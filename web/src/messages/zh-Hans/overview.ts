import type english from "../en/overview";
import type { Translation } from "../types";

export default {
  "meter.title": "累计中",
  "meter.points": "积分",
  "meter.balance": "余额",
  "meter.balance.lead": "所有已入账",
  "meter.lead": "对当前周期将付给你的估计",
  "meter.range": "结算时介于 {least} 与 {most} 之间",
  "meter.none": "尚未测量：还没有周期开始。",
  "meter.unmeasured": "尚未测量：你的节点都还没有上线过。",
  "meter.rate": "最近 {span} +{points}",
  "meter.quiet": "最近 {span} 没有变化",
  "meter.how": "这是怎么得来的",

  "epoch.name": "周期 {number}",
  "epoch.open": "{span} 后结算",
  "epoch.due": "正在结算",
  "epoch.progress": "周期 {number}：时间已过 {share}",

  "strip.title": "最近五分钟",
  "strip.now": "现在",
  "strip.start": "{count} 分钟前",
  "strip.summary": "最近五分钟获得的积分：{points}。已观察 {watched}。",
  "strip.legend.unmeasured": "未观察",

  "today.title": "今天",
  "today.booked": "目前已入账",
  "today.projected": "照此下去，到午夜",
  "today.projected.none": "测量更多之后，会给出当天的估计。",

  "stat.confirmed": "已确认在线时间",
  "stat.confirmed.lead": "所有节点合计",
  "stat.uptime": "24 小时在线率",
  "stat.uptime.lead": "占你的节点本可在线的时间",
  "stat.uptime.none": "最近 24 小时未测量。",
  "stat.uptime.hours": "每小时在线率",
  "stat.nodes": "你的在线节点",
  "stat.nodes.of": "/",
  "stat.nodes.none": "还没有节点",
  "stat.nodes.all": "全部在线",
  "stat.nodes.missing": { other: "{count} 个不在线" },

  "overview.nodes.all": { other: "全部 {count} 个节点" },
} as const satisfies Translation<typeof english>;
