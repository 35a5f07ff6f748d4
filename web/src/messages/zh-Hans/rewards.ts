import type english from "../en/rewards";
import type { Translation } from "../types";

export default {
  "rewards.page": "奖励",
  "rewards.lead": "你的积分走到了哪一步，以及如何领取。",

  "rewards.claimable": "现在可领取",
  "rewards.minimum": "已最终确定 {final} 积分，达到 {minimum} 后将一并变为可领取。",
  "rewards.soon": "已最终确定的积分将在下次结算周期时变为可领取。",
  "rewards.claim": "全部领取",

  "rewards.wallet": "你的钱包",
  "rewards.wallet.none": "领取需要钱包，目前尚未关联。",
  "rewards.wallet.link": "关联钱包",
  "rewards.wallet.change": "更换钱包",
  "rewards.wallet.why": "领取的积分归此地址。你已用签名证明它属于你。",

  "rewards.stages": "流程",
  "rewards.accruing": "累积中",
  "rewards.accruing.why": "来自尚未结算的周期：只是估计，尚未入账。",
  "rewards.pending.why": "已入账。更正期结束后即最终确定。",
  "rewards.pending.why.terms": "已入账。周期结束 {span} 后最终确定，在此之前可能有更正。",
  "rewards.held.why": "节点尚新或推荐正在审核时暂时保留。",
  "rewards.held.step": "保留 {share}，直到节点满 {span}",
  "rewards.final.why": "不会再有变化。达到最低金额后变为可领取。",
  "rewards.final.why.terms": "不会再有变化。达到 {amount} 积分后，全部变为可领取。",
  "rewards.claimable.why": "可由你领取，归已关联的钱包。",
  "rewards.claimed.why": "你已申请领取。支付到钱包将随链上结算进行。",

  "rewards.claim.title": "领取积分",
  "rewards.claim.lead": "所有可领取的积分将一次领取，无法撤销。",
  "rewards.claim.to": "归钱包",
  "rewards.claim.check": "我已核对地址：这是我的钱包。",
  "rewards.claim.send": "领取",
  "rewards.claim.busy": "正在领取",
  "rewards.claim.cancel": "暂不领取",
  "rewards.claim.close": "完成",
  "rewards.claim.receipt": "已领取",
  "rewards.claim.done": "已领取 {amount} 积分。",
  "rewards.claim.at": "领取时间",
  "rewards.claim.id": "领取编号",
  "rewards.claim.next": "它已记入你的账目。支付到钱包将随链上结算进行。",

  "rewards.claims": "领取记录",
  "rewards.claims.lead": "你领取过的积分，最新的在前。",
  "rewards.claims.none": "尚未领取过",
  "rewards.claims.none.lead": "有可领取的积分时，可在上方领取。",

  "rewards.proof": "证明",
  "rewards.proof.lead": "已结算的领取附有证明，由你的浏览器自行核验。",
  "rewards.proof.none": "尚无结算",
  "rewards.proof.none.lead": "领取一经结算，证明就会出现在这里。每笔金额的由来，今天就可以逐个周期核对。",
  "rewards.proof.epochs": "核对一个周期",

  "problem.wallet_missing": "尚未关联钱包。请先关联，再领取。",
  "problem.nothing_to_claim": "已没有可领取的积分，也许你在另一个页面已经领取。",
  "problem.in_progress": "这次领取正在处理中，请稍后再试。",
} as const satisfies Translation<typeof english>;
