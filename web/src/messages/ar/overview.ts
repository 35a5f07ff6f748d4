import type english from "../en/overview";
import type { Translation } from "../types";

export default {
  "meter.title": "قيد الاستحقاق",
  "meter.points": "نقطة",
  "meter.balance": "الرصيد",
  "meter.balance.lead": "كل ما قُيِّد",
  "meter.lead": "تقدير لما ستدفعه لك الحقبة المفتوحة",
  "meter.range": "بين {least} و{most} عند إغلاقها",
  "meter.none": "لم يُقَس بعد: لم تبدأ أي حقبة.",
  "meter.unmeasured": "لم يُقَس بعد: لم تتصل أي من عُقدك.",
  "meter.rate": "+{points} خلال آخر {span}",
  "meter.quiet": "لا تغيّر خلال آخر {span}",
  "meter.how": "كيف نشأ هذا",

  "epoch.name": "الحقبة {number}",
  "epoch.open": "تُغلق بعد {span}",
  "epoch.due": "يجري إغلاقها",
  "epoch.progress": "الحقبة {number}: مضى {share} من وقتها",

  "strip.title": "آخر خمس دقائق",
  "strip.now": "الآن",
  "strip.start": "قبل {count} د",
  "strip.summary": "النقاط المكتسبة في آخر خمس دقائق: {points}. شوهد منها {watched}.",
  "strip.legend.unmeasured": "لم يُشاهَد",

  "today.title": "اليوم",
  "today.booked": "ما قُيِّد حتى الآن",
  "today.projected": "حتى منتصف الليل، إن استمر كل شيء هكذا",
  "today.projected.none": "يأتي تقدير اليوم بعد قياس المزيد.",

  "stat.confirmed": "وقت الاتصال المؤكد",
  "stat.confirmed.lead": "كل العُقد معًا",
  "stat.uptime": "الاتصال، 24 ساعة",
  "stat.uptime.lead": "من الوقت الذي كان يمكن لعُقدك أن تتصل فيه",
  "stat.uptime.none": "لم يُقَس في آخر 24 ساعة.",
  "stat.uptime.hours": "الاتصال بالساعة",
  "stat.nodes": "عُقدك المتصلة",
  "stat.nodes.of": "من",
  "stat.nodes.none": "لا عقدة بعد",
  "stat.nodes.all": "كلها",
  "stat.nodes.missing": {
    zero: "لا غائب",
    one: "واحدة غائبة",
    two: "اثنتان غائبتان",
    few: "{count} غائبة",
    many: "{count} غائبة",
    other: "{count} غائبة",
  },

  "overview.nodes.all": {
    zero: "كل العُقد",
    one: "العقدة الواحدة",
    two: "العقدتان",
    few: "كل العُقد، {count}",
    many: "كل العُقد، {count}",
    other: "كل العُقد، {count}",
  },
} as const satisfies Translation<typeof english>;
