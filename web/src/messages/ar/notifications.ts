import type english from "../en/notifications";
import type { Translation } from "../types";

export default {
  "notifications.page": "الإشعارات",
  "notifications.lead": "سيُحفظ هنا ما حدث في غيابك.",
  "notifications.none": "لا شيء هنا بعد",
  "notifications.none.lead": "لا يحفظ هذا الخادم إشعارات حتى الآن. حين يفعل تصل إلى هنا من دون إعادة تحميل.",
  "notifications.meanwhile": "أين تنظر في هذه الأثناء",
  "notifications.meanwhile.lead": "كل من هذه مباشر.",
  "notifications.epochs": "الحقب المغلقة",
  "notifications.epochs.lead": "ما دفعته لك كل منها، ولماذا",
  "notifications.nodes": "عُقدك",
  "notifications.nodes.lead": "أيها متصلة وأيها لا",
  "notifications.referrals": "الإحالات",
  "notifications.referrals.lead": "من انضم ومن هو نشط",
  "notifications.sessions": "عمليات الدخول",
  "notifications.sessions.lead": "أين حسابك مفتوح",
} as const satisfies Translation<typeof english>;
