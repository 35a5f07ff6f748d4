import type english from "../en/shell";
import type { Translation } from "../types";

export default {
  "app.name": "Pulseboard",
  "app.skip": "跳到正文",
  "app.version": "Pulseboard {version}",

  "auth.password.new": "新密码",
  "auth.code": "验证码",
  "auth.code.hint": "身份验证器中的六位数字，或一个恢复码。",
  "auth.missing.code": "请输入验证码。",
  "auth.email": "邮箱",
  "auth.password": "密码",
  "auth.password.show": "显示密码",
  "auth.password.hide": "隐藏密码",
  "auth.password.hint": "至少 {count} 个字符。用一句短话就很好。",
  "auth.name": "显示名称",
  "auth.missing.password": "请输入密码。",
  "auth.short.password": "请至少使用 {count} 个字符。",
  "auth.logout": "退出登录",

  "restore.trouble": "无法连接服务器，我们会继续尝试。",
  "restore.retry": "立即重试",

  "theme.to_dark": "切换到深色",
  "theme.to_light": "切换到浅色",

  "connection.label": "连接",
  "connection.live": "实时",
  "connection.connecting": "正在连接",
  "connection.reconnecting": "正在重连",
  "connection.offline": "离线",
  "connection.age": "数据已有 {age}",
  "connection.retry": "重试",
  "connection.closed.connection_limit": "此账户打开的页面太多。请关闭一些后重试。",
  "connection.closed.rate_limit": "此页面请求过于频繁，已被断开。",
  "connection.closed.other": "服务器结束了实时连接（代码 {code}）。",

  "nodes.state": "状态",
  "nodes.state.online": "在线",
  "nodes.state.degraded": "性能下降",
  "nodes.state.flapping": "时断时续",
  "nodes.state.offline": "离线",
  "nodes.state.suspended": "已暂停",
  "nodes.state.never": "从未在线",
  "nodes.why.degraded": "它已连接，但没有回答最近的质询。回答后将恢复计时。",
  "nodes.why.flapping": "它反复断线。在稳定一段时间之前，按性能下降计。",
  "nodes.why.suspended": "它被运营者或反滥用规则暂停。期间的一切都不计入。",
  "nodes.since": "已 {span}",

  "missing.title": "没有这个页面",
  "missing.back": "返回总览",

  "unmeasured": "–",
  "unmeasured.word": "未测量",

  "problem.invalid_credentials": "邮箱或密码错误，或邮箱尚未确认。",
  "problem.second_factor_invalid": "验证码错误或已被使用。",
  "problem.link_invalid": "此链接已使用、已过期或不完整。",
  "problem.password_common": "这是最容易被猜到的密码之一，请换一个。",
  "problem.busy": "此刻登录的人很多，请稍后再试。",

  "error.unreachable": "无法连接服务器。请检查网络后重试。",
  "error.server": "服务器出现问题。没有任何丢失，请稍后重试。",
  "error.unexpected": "出了点问题，请重试。",
  "error.too_many": "操作过于频繁，请稍后再试。",
  "error.too_many_wait": { other: "操作过于频繁，请在 {count} 秒后重试。" },

  "copy.copy": "复制",
  "copy.copied": "已复制",
  "copy.failed": "请选中文本手动复制。",

  "nav.label": "主导航",
  "nav.overview": "总览",
  "nav.earnings": "收益",
  "nav.network": "网络",
  "nav.nodes": "节点",
  "nav.referrals": "推荐",
  "nav.rewards": "奖励",
  "nav.notifications": "通知",
  "nav.settings": "设置",
  "nav.admin": "运营",
  "nav.more": "更多",
  "nav.menu": "菜单",
  "nav.loaded": "{title}，页面已打开",

  "account.menu": "{name} 的账户",
  "account.settings": "设置",
  "account.language": "语言",

  "palette.open": "搜索与命令",
  "palette.hint": "搜索页面和操作",
  "palette.none": "没有名为“{text}”的内容。",
  "palette.pages": "页面",
  "palette.actions": "操作",
  "palette.keys": "方向键选择，Enter 打开，Esc 关闭。",

  "banner.reconnecting": "正在重连。你看到的是 {age} 前的数据。",
  "banner.offline": "你已离线。你看到的是 {age} 前的数据。",

  "toast.region": "消息",
  "toast.dismiss": "关闭",

  "loading.page": "正在加载",
  "loading.failed": "无法加载此页面。",
  "loading.failed.lead": "可能是网络中断，或 Pulseboard 刚刚更新。重新加载即可；你在别处输入的内容没有被发送。",
  "loading.reload": "重新加载",
  "loading.retry": "重试",
  "loading.stale": "这些是 {age} 前的数据：{reason}",

  "estimate.word": "估计",
  "estimate.range": "介于 {least} 与 {most} 之间",

  "amount.points": "积分",
  "amount.how": "明细来源",

  "table.sort": "按{column}排序",
  "table.more": "显示更多",

  "chart.table": "以表格显示",
  "chart.chart": "以图表显示",
  "chart.time": "时间",
  "chart.none": "这段时间没有测量数据。",

  "spark.summary": "从 {least} 到 {most}，现在 {last}",

  "dialog.close": "关闭",

  "ago.now": "刚刚",
} as const satisfies Translation<typeof english>;
