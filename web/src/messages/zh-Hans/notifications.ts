import type english from "../en/notifications";
import type { Translation } from "../types";

export default {
  "notifications.page": "通知",
  "notifications.lead": "你离开期间发生的事会保存在这里。",
  "notifications.none": "这里还没有内容",
  "notifications.none.lead": "此服务器目前不保存通知。一旦开始保存，通知会自动出现在这里，无需刷新。",
  "notifications.meanwhile": "在此之前可以查看",
  "notifications.meanwhile.lead": "以下页面均为实时。",
  "notifications.epochs": "已关闭的纪元",
  "notifications.epochs.lead": "每个纪元向你支付了多少，以及原因",
  "notifications.nodes": "你的节点",
  "notifications.nodes.lead": "哪些在线，哪些不在线",
  "notifications.referrals": "推荐",
  "notifications.referrals.lead": "谁加入了，谁在活跃",
  "notifications.sessions": "登录情况",
  "notifications.sessions.lead": "你的账户在哪些地方登录着",
} as const satisfies Translation<typeof english>;
