import type english from "../en/shell";
import type { Translation } from "../types";

export default {
  "app.name": "Pulseboard",
  "app.skip": "انتقل إلى المحتوى",
  "app.version": "Pulseboard {version}",

  "auth.password.new": "كلمة المرور الجديدة",
  "auth.code": "الرمز",
  "auth.code.hint": "ستة أرقام من تطبيق المصادقة، أو رمز استرداد.",
  "auth.missing.code": "أدخل الرمز.",
  "auth.email": "البريد الإلكتروني",
  "auth.password": "كلمة المرور",
  "auth.password.show": "إظهار كلمة المرور",
  "auth.password.hide": "إخفاء كلمة المرور",
  "auth.password.hint": "{count} حرفًا على الأقل. جملة قصيرة تفي بالغرض.",
  "auth.name": "الاسم الظاهر",
  "auth.missing.password": "أدخل كلمة المرور.",
  "auth.short.password": "استخدم {count} حرفًا على الأقل.",
  "auth.logout": "تسجيل الخروج",

  "restore.trouble": "تعذّر الوصول إلى الخادم. سنواصل المحاولة.",
  "restore.retry": "حاول الآن",

  "theme.to_dark": "التبديل إلى الألوان الداكنة",
  "theme.to_light": "التبديل إلى الألوان الفاتحة",

  "connection.label": "الاتصال",
  "connection.live": "مباشر",
  "connection.connecting": "جارٍ الاتصال",
  "connection.reconnecting": "جارٍ إعادة الاتصال",
  "connection.offline": "غير متصل",
  "connection.age": "عمر الأرقام {age}",
  "connection.retry": "حاول مجددًا",
  "connection.closed.connection_limit": "صفحات كثيرة من هذا الحساب مفتوحة. أغلق بعضها ثم حاول مجددًا.",
  "connection.closed.rate_limit": "كانت هذه الصفحة كثيرة الطلبات على الخادم ففُصلت.",
  "connection.closed.other": "أنهى الخادم الاتصال المباشر (الرمز {code}).",

  "nodes.state": "الحالة",
  "nodes.state.online": "متصلة",
  "nodes.state.degraded": "متدهورة",
  "nodes.state.flapping": "تتصل وتنقطع",
  "nodes.state.offline": "غير متصلة",
  "nodes.state.suspended": "موقوفة",
  "nodes.state.never": "لم تتصل قط",
  "nodes.why.degraded": "إنها متصلة لكنها لم تُجب عن تحدياتها الأخيرة. يُحتسب الوقت مجددًا عندما تجيب.",
  "nodes.why.flapping": "تفقد اتصالها مرارًا. تُعدّ متدهورة حتى تستقر مدة.",
  "nodes.why.suspended": "أوقفها مشغّل أو قاعدة ضد إساءة الاستخدام. لا يُحتسب شيء مما تفعله.",
  "nodes.since": "منذ {span}",

  "missing.title": "لا توجد صفحة كهذه",
  "missing.back": "العودة إلى النظرة العامة",

  "unmeasured": "–",
  "unmeasured.word": "لم يُقَس",

  "problem.invalid_credentials": "البريد أو كلمة المرور غير صحيح، أو لم يُؤكَّد العنوان بعد.",
  "problem.second_factor_invalid": "هذا الرمز خاطئ أو استُخدم من قبل.",
  "problem.link_invalid": "استُخدم هذا الرابط أو انتهت صلاحيته أو أنه غير كامل.",
  "problem.password_common": "كلمة المرور هذه من أول ما يُجرَّب. اختر غيرها.",
  "problem.busy": "كثيرون يسجلون الدخول في هذه اللحظة. حاول بعد ثانية.",

  "error.unreachable": "تعذّر الوصول إلى الخادم. تحقق من اتصالك وحاول مجددًا.",
  "error.server": "واجه الخادم مشكلة. لم يضع شيء؛ حاول بعد لحظات.",
  "error.unexpected": "حدث خطأ ما. حاول مجددًا.",
  "error.too_many": "محاولات كثيرة جدًا. انتظر لحظة ثم حاول مجددًا.",
  "error.too_many_wait": {
    zero: "محاولات كثيرة جدًا. حاول الآن.",
    one: "محاولات كثيرة جدًا. حاول بعد ثانية واحدة.",
    two: "محاولات كثيرة جدًا. حاول بعد ثانيتين.",
    few: "محاولات كثيرة جدًا. حاول بعد {count} ثوانٍ.",
    many: "محاولات كثيرة جدًا. حاول بعد {count} ثانية.",
    other: "محاولات كثيرة جدًا. حاول بعد {count} ثانية.",
  },

  "copy.copy": "نسخ",
  "copy.copied": "نُسخ",
  "copy.failed": "حدّد النص وانسخه يدويًا.",

  "nav.label": "الرئيسية",
  "nav.overview": "نظرة عامة",
  "nav.earnings": "الأرباح",
  "nav.network": "الشبكة",
  "nav.nodes": "العُقد",
  "nav.referrals": "الإحالات",
  "nav.rewards": "المكافآت",
  "nav.notifications": "الإشعارات",
  "nav.settings": "الإعدادات",
  "nav.admin": "التشغيل",
  "nav.more": "المزيد",
  "nav.menu": "القائمة",
  "nav.loaded": "{title}، فُتحت الصفحة",

  "account.menu": "حساب {name}",
  "account.settings": "الإعدادات",
  "account.language": "اللغة",

  "palette.open": "البحث والأوامر",
  "palette.hint": "ابحث في الصفحات والإجراءات",
  "palette.none": "لا شيء باسم «{text}».",
  "palette.pages": "الصفحات",
  "palette.actions": "الإجراءات",
  "palette.keys": "الأسهم للاختيار، Enter للفتح، Escape للإغلاق.",

  "banner.reconnecting": "جارٍ إعادة الاتصال. ما تراه عمره {age}.",
  "banner.offline": "أنت غير متصل. ما تراه عمره {age}.",

  "toast.region": "المستجدات",
  "toast.dismiss": "تجاهل",

  "loading.page": "جارٍ التحميل",
  "loading.failed": "تعذّر تحميل هذه الصفحة.",
  "loading.failed.lead": "ربما انقطع اتصالك أو حُدِّث Pulseboard في أثناء ذلك. إعادة التحميل تفيد؛ ولم يُرسَل شيء مما كتبته في مكان آخر.",
  "loading.reload": "إعادة التحميل",
  "loading.retry": "حاول مجددًا",
  "loading.stale": "هذه الأرقام عمرها {age}: {reason}",

  "estimate.word": "تقدير",
  "estimate.range": "بين {least} و{most}",

  "amount.points": "نقطة",
  "amount.how": "كيف نشأ هذا",

  "table.sort": "الترتيب حسب {column}",
  "table.more": "عرض المزيد",

  "chart.table": "عرض كجدول",
  "chart.chart": "عرض كرسم بياني",
  "chart.time": "الوقت",
  "chart.none": "لم يُقَس شيء في هذه المدة.",

  "spark.summary": "من {least} إلى {most}، والآن {last}",

  "dialog.close": "إغلاق",

  "ago.now": "الآن",
} as const satisfies Translation<typeof english>;
