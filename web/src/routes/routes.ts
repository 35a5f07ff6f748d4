import { routes as admin } from "./admin/routes";
import { routes as earnings } from "./earnings/routes";
import { routes as entrance } from "./entrance/routes";
import { routes as network } from "./network/routes";
import { routes as nodes } from "./nodes/routes";
import { routes as notifications } from "./notifications/routes";
import { routes as onboarding } from "./onboarding/routes";
import { routes as overview } from "./overview/routes";
import { routes as referrals } from "./referrals/routes";
import { routes as rewards } from "./rewards/routes";
import type { Audience, Route } from "./route";
import { routes as settings } from "./settings/routes";

/** All pages by address. */
export const routes: readonly Route[] = [
  ...entrance,
  ...overview,
  ...onboarding,
  ...earnings,
  ...network,
  ...nodes,
  ...referrals,
  ...rewards,
  ...notifications,
  ...settings,
  ...admin,
];

/** Whether somebody of this role may see what is for `audience`. The API decides for itself. */
export function mayVisit(audience: Audience, role: string): boolean {
  if (audience === "operator") return role === "operator";
  if (audience === "support") return role === "operator" || role === "support";
  return true;
}
