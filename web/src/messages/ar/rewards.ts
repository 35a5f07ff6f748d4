import type english from "../en/rewards";
import type { Translation } from "../types";

export default {
  "rewards.page": "المكافآت",
  "rewards.lead": "أين وصلت نقاطك في طريقها إليك، والمطالبة بها.",

  "rewards.claimable": "متاح للمطالبة الآن",
  "rewards.minimum": "{final} من {minimum} نقطة نهائية: عندها تصبح كلها متاحة للمطالبة.",
  "rewards.soon": "يصبح النهائي متاحًا للمطالبة عند الإغلاق القادم.",
  "rewards.claim": "طالب بها كلها",

  "rewards.wallet": "محفظتك",
  "rewards.wallet.none": "تذهب المطالبة إلى محفظة، ولم تُربط أي محفظة بعد.",
  "rewards.wallet.link": "ربط محفظة",
  "rewards.wallet.change": "تغيير المحفظة",
  "rewards.wallet.why": "تذهب المطالبات إلى هذا العنوان. أثبتَّ أنه لك بتوقيع.",

  "rewards.stages": "في الطريق",
  "rewards.accruing": "قيد الاستحقاق",
  "rewards.accruing.why": "من حقب لم تُغلق بعد: تقدير لم يُقيَّد.",
  "rewards.pending.why": "مُقيَّد. يصبح نهائيًا حين تنتهي مدة التصحيح.",
  "rewards.pending.why.terms": "مُقيَّد. يصبح نهائيًا بعد {span} من نهاية حقبته؛ وقد تأتي تصحيحات حتى ذلك الحين.",
  "rewards.held.why": "محجوز ما دامت العقدة حديثة، أو ما دامت الإحالة قيد المراجعة.",
  "rewards.held.step": "{share} حتى يبلغ عمر العقدة {span}",
  "rewards.final.why": "لن يغيّره شيء. يصبح متاحًا للمطالبة عند بلوغ الحد الأدنى.",
  "rewards.final.why.terms": "لن يغيّره شيء. ابتداءً من {amount} نقطة يصبح كله متاحًا للمطالبة.",
  "rewards.claimable.why": "لك أن تطالب به، للمحفظة المربوطة.",
  "rewards.claimed.why": "طالبتَ به. يأتي دفعه إلى محفظتك مع التسوية.",

  "rewards.claim.title": "المطالبة بنقاطك",
  "rewards.claim.lead": "يُطالَب بكل المتاح دفعة واحدة. لا يمكن التراجع عن ذلك.",
  "rewards.claim.to": "للمحفظة",
  "rewards.claim.check": "قارنت العنوان: هذه محفظتي.",
  "rewards.claim.send": "مطالبة",
  "rewards.claim.busy": "جارٍ المطالبة",
  "rewards.claim.cancel": "ليس الآن",
  "rewards.claim.close": "تم",
  "rewards.claim.receipt": "تمت المطالبة",
  "rewards.claim.done": "تمت المطالبة بـ {amount} نقطة.",
  "rewards.claim.at": "وقت المطالبة",
  "rewards.claim.id": "رقم المطالبة",
  "rewards.claim.next": "هي في قيودك. يأتي دفعها إلى محفظتك مع التسوية.",

  "rewards.claims": "المطالبات",
  "rewards.claims.lead": "ما طالبتَ به، الأحدث أولًا.",
  "rewards.claims.none": "لم تطالب بشيء بعد",
  "rewards.claims.none.lead": "حين يتاح شيء للمطالبة، تطالب به أعلاه.",

  "rewards.proof": "الإثبات",
  "rewards.proof.lead": "تأتي المطالبات المسوّاة مع إثبات يتحقق منه متصفحك بنفسه.",
  "rewards.proof.none": "لم يُسوَّ شيء بعد",
  "rewards.proof.none.lead": "حالما تُسوّى المطالبات تجد إثباتاتها هنا. أما كيف نشأ كل مبلغ فيمكنك التحقق منه اليوم، حقبة حقبة.",
  "rewards.proof.epochs": "تحقق من حقبة",

  "problem.wallet_missing": "لا محفظة مربوطة. اربط واحدة ثم طالب مجددًا.",
  "problem.nothing_to_claim": "لم يبق ما يُطالَب به. ربما طالبت به صفحة أخرى لك.",
  "problem.in_progress": "هذه المطالبة قيد التنفيذ. حاول بعد لحظات.",
} as const satisfies Translation<typeof english>;
