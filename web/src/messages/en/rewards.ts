import type { Messages } from "../types";

export default {
  "rewards.page": "Rewards",
  "rewards.lead": "Where your points are on their way to you, and claiming them.",

  "rewards.claimable": "Claimable now",
  "rewards.minimum": "{final} of {minimum} points final: together they become claimable from there on.",
  "rewards.soon": "What is final becomes claimable with the next close.",
  "rewards.claim": "Claim it all",

  "rewards.wallet": "Your wallet",
  "rewards.wallet.none": "A claim goes to a wallet, and none is linked yet.",
  "rewards.wallet.link": "Link a wallet",
  "rewards.wallet.change": "Change the wallet",
  "rewards.wallet.why": "Claims go to this address. You proved it yours by a signature.",

  "rewards.stages": "On their way",
  "rewards.accruing": "Accruing",
  "rewards.accruing.why": "Of epochs that are not closed yet: an estimate, not booked.",
  "rewards.pending.why": "Booked. It becomes final when the time for corrections is over.",
  "rewards.pending.why.terms": "Booked. It becomes final {span} after its epoch ended; until then corrections may come.",
  "rewards.held.why": "Kept back while a node is young, or a referral is looked at.",
  "rewards.held.step": "{share} until the node is {span} old",
  "rewards.final.why": "Nothing will change it any more. It becomes claimable with the least amount.",
  "rewards.final.why.terms": "Nothing will change it any more. From {amount} points on, all of it becomes claimable.",
  "rewards.claimable.why": "Yours to claim, for the wallet that is linked.",
  "rewards.claimed.why": "You asked for it. Its payment to your wallet comes with the settlement.",

  "rewards.claim.title": "Claim your points",
  "rewards.claim.lead": "All that is claimable is claimed at once. This cannot be undone.",
  "rewards.claim.to": "For the wallet",
  "rewards.claim.check": "I have compared the address: this is my wallet.",
  "rewards.claim.send": "Claim",
  "rewards.claim.busy": "Claiming",
  "rewards.claim.cancel": "Not now",
  "rewards.claim.close": "Done",
  "rewards.claim.receipt": "Claimed",
  "rewards.claim.done": "{amount} points claimed.",
  "rewards.claim.at": "Claimed on",
  "rewards.claim.id": "Number of the claim",
  "rewards.claim.next": "It is in your bookings. Its payment to your wallet comes with the settlement.",

  "rewards.claims": "Claims",
  "rewards.claims.lead": "What you claimed, the newest first.",
  "rewards.claims.none": "Nothing claimed yet",
  "rewards.claims.none.lead": "When there is something claimable, you claim it above.",

  "rewards.proof": "Proof",
  "rewards.proof.lead": "Settled claims come with a proof that your browser checks by itself.",
  "rewards.proof.none": "Nothing is settled yet",
  "rewards.proof.none.lead": "As soon as claims are settled, their proofs are here. How every amount came about you can check today, epoch by epoch.",
  "rewards.proof.epochs": "Check an epoch",

  "problem.wallet_missing": "No wallet is linked. Link one, then claim again.",
  "problem.nothing_to_claim": "There is nothing to claim any more. Perhaps another page of yours has claimed it.",
  "problem.in_progress": "This claim is being worked on already. Try again in a moment.",
} as const satisfies Messages;
