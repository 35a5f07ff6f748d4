// The HTTP API v1, rendered from its OpenAPI description by web/generate_types.py. Do not edit.

/** Endpoints that are not below `/api/v1`. */
export const OUTSIDE: readonly string[] = ["/healthz","/metrics","/metrics.json","/readyz"];

export interface Accepted {
  detail?: string;
}

export interface AccessToken {
  access_token: string;
  expires_at: string;
}

export interface Accruing {
  epoch: number;
  starts_at: string;
  ends_at: string;
  amount: string;
  least: string;
  most: string;
}

export interface BonusShare {
  category: "availability" | "usage" | "streak" | "first_hours" | "campaign" | "referral";
  campaign: CampaignPart | null;
  days: number | null;
  seconds: number | null;
  reward: string | null;
  wanted: string;
  amount: string;
  arithmetic: string[];
}

export interface BonusesView {
  pool: string;
  wanted: string;
  own: BonusShare[];
}

export interface BookedAmount {
  category: "availability" | "usage" | "streak" | "first_hours" | "campaign" | "referral";
  amount: string;
}

export interface BothShown {
  password: string;
  code: string;
}

export interface CampaignPage {
  items: CampaignView[];
  next_cursor: string | null;
}

export interface CampaignPart {
  campaign_id: string;
  name: string;
  country: string | null;
  share: number;
  seconds: number;
  available: string;
  wanted: string;
  paid: string;
}

export interface CampaignUpdate {
  version: number;
  name?: string | null;
  starts_at?: string | null;
  ends_at?: string | null;
  share?: number | null;
  budget?: string | null;
}

export interface CampaignView {
  campaign_id: string;
  name: string;
  state: "planned" | "running" | "exhausted" | "over";
  starts_at: string;
  ends_at: string;
  country: string | null;
  share: number;
  budget: string;
  spent: string;
  version: number;
  created_at: string;
  updated_at: string;
  updated_by: string;
}

export interface Claim {
  claim_id: string;
  claimed_at: string;
  wallet: string;
  amount: string;
  categories: BookedAmount[];
}

export interface ClientSettings {
  ws_url: string | null;
  ws_port: number;
  version: string;
  beat_interval: number;
}

export interface ClusterMetrics {
  processes: Process[];
  totals: Record<string, Record<string, number | string>>;
  schema?: number;
}

export interface CodeShown {
  code: string;
}

export interface CodeView {
  code: string;
  alias: boolean;
  created_at: string;
  clicks: number;
  signups: number;
}

export interface Component {
  name: "uptime" | "latency" | "challenges" | "contribution";
  points: number | null;
  weight: number;
  inputs: Record<string, number | null>;
  could_add: number | null;
  sentence: string;
}

export interface Countries {
  items: CountryStatistics[];
}

export interface CountryCount {
  country: string | null;
  nodes_online: number;
}

export interface CountryStatistics {
  country: string | null;
  nodes_online: number;
  nodes: number;
  seconds: number;
  uptime: number | null;
  bytes_up: number;
  bytes_down: number;
  rtt_p50_ms: number | null;
  rtt_p95_ms: number | null;
}

export interface Decided {
  referrals: number;
}

export interface DecisionList {
  items: DecisionView[];
}

export interface DecisionRequest {
  decision: "released" | "refused";
  note: string;
  subtree?: boolean;
}

export interface DecisionView {
  at: string;
  decision: "raised" | "changed" | "cleared" | "dismissed";
  action: "flag" | "gate" | "suspend";
  gate: number | null;
  rule_version: number;
  evidence: Record<string, unknown>;
  actor_id: string | null;
  note: string;
}

export interface Dismissal {
  note: string;
  quiet_days?: number;
}

export interface EarningsPoint {
  start: string;
  end: string;
  amount: string | null;
  categories: Record<string, string>;
  complete: boolean;
}

export interface EarningsSeries {
  start: string;
  end: string;
  period: "hour" | "day" | "week" | "month";
  time_zone: string;
  node_id: string | null;
  amount: string;
  points: EarningsPoint[];
}

export interface EarningsSummary {
  revision: number;
  balance: string;
  pending: string;
  held: string;
  final: string;
  claimable: string;
  claimed: string;
  accruing: Accruing | null;
  time_zone: string;
  booked_until: string | null;
  outlooks: Outlook[];
}

export interface EmailConfirmed {
  state: string;
}

export interface EmailRequest {
  email: string;
  password: string;
}

export interface Ended {
  sessions: number;
}

export interface EnrolRequest {
  public_key: string;
  name: string;
  signature: string;
}

export interface Enrolment {
  token: string;
  expires_at: string;
}

export interface EpochExplained {
  epoch: EpochView;
  seconds: number;
  terms: TermsView;
  method: string[];
  nodes: NodeShare[];
  bonuses: BonusesView | null;
  booked: BookedAmount[];
}

export interface EpochPage {
  items: EpochView[];
  next_cursor: string | null;
}

export interface EpochView {
  number: number;
  starts_at: string;
  ends_at: string;
  terms: number;
  closed_at: string;
  final: boolean;
  nodes: number;
  users: number;
  pools: PoolView[];
}

export interface EpochsOverview {
  open: OpenEpochView | null;
  items: EpochView[];
  next_cursor: string | null;
}

export interface EvidenceView {
  kind: "mailbox" | "wallet" | "node_key" | "device" | "address" | "subnet" | "disposable" | "burst";
  other_id: string;
  value: string;
  raised_at: string;
  released: boolean;
}

export interface Farewell {
  password: string;
  code?: string | null;
}

export interface FirstHours {
  hours: number;
  share: number;
}

export interface FlagList {
  items: FlagView[];
}

export interface FlagPage {
  items: FlagView[];
  next_cursor: string | null;
}

export interface FlagView {
  flag_id: string;
  user_id: string;
  node_id: string;
  rule: string;
  rule_version: number;
  reason: string;
  evidence: Record<string, unknown>;
  action: "flag" | "gate" | "suspend";
  gate: number | null;
  state: "active" | "cleared" | "dismissed";
  raised_at: string;
  raised_by: string | null;
  gone_since: string | null;
  ended_at: string | null;
  ended_by: string | null;
  note: string;
  quiet_until: string | null;
}

export interface ForgotRequest {
  email: string;
}

export interface Gate {
  name: string;
  quarters: number | null;
  facts: Record<string, unknown>;
  sentence: string;
}

export interface Health {
  status: string;
  checks?: Record<string, string>;
}

export interface HistoryItem {
  entry_id: number;
  key: string;
  kind: "reward" | "bonus" | "referral" | "correction" | "release" | "payable" | "claim" | "clawback" | "adjustment";
  epoch: number;
  at: string;
  amount: string;
  lines: Line[];
}

export interface HistoryPage {
  items: HistoryItem[];
  next_cursor: string | null;
}

export interface HoldBack {
  days: number;
  share: number;
}

export interface KnownCode {
  code: string;
}

export interface LatencyBand {
  up_to_ms: number | null;
  points: number;
}

export interface LedgerState {
  checked_at: string | null;
  milliseconds: number;
  offences: Offence[];
  people: number;
  epochs: number[];
  asked_at: string | null;
}

export interface LevelView {
  level: number;
  share: number;
  people: number;
  active: number;
  review: number;
  refused: number;
  earned: string;
  pending: string;
  released: string;
  held: string;
  reversed: string;
}

export interface Line {
  account: "pending" | "held" | "final" | "claimable" | "claimed" | "issued" | "unallocated" | "corrections" | "lost";
  category: "availability" | "usage" | "streak" | "first_hours" | "campaign" | "referral";
  amount: string;
  matures_at: string | null;
}

export interface LinkToken {
  token: string;
}

export interface LoginRequest {
  email: string;
  password: string;
  code?: string | null;
  cookie?: boolean;
}

export interface NetworkPoint {
  at: string;
  nodes?: number | null;
  seconds?: number | null;
  uptime?: number | null;
  bytes_up?: number | null;
  bytes_down?: number | null;
  answered?: number | null;
  missed?: number | null;
  refused?: number | null;
  rtt_p50_ms?: number | null;
  rtt_p95_ms?: number | null;
}

export interface NetworkSeries {
  country: string | null;
  start: string;
  end: string;
  step: "hour" | "day";
  points: NetworkPoint[];
}

export interface NetworkSummary {
  revision: number;
  nodes_online: number;
  nodes_total: number;
  users_total: number;
  confirmed_seconds: number;
  countries: CountryCount[];
}

export interface NewCampaign {
  name: string;
  ends_at: string;
  share: number;
  budget: string;
  starts_at?: string | null;
  country?: string | null;
}

export interface NewCode {
  alias?: string | null;
}

export interface NodeChange {
  name: string;
}

export interface NodeDetail {
  node_id: string;
  user_id: string;
  name: string;
  public_key: string;
  created_at: string;
  state: "online" | "degraded" | "offline" | "suspended";
  since: string | null;
  flapping: boolean;
  confirmed_seconds: number;
  country: string | null;
  address: string | null;
  asn: number | null;
  agent_version: string | null;
  seen_at: string | null;
  session_id: string | null;
  rtt_ms: number | null;
  jitter_ms: number | null;
}

export interface NodeEarningsPage {
  items: NodeEpoch[];
  next_cursor: string | null;
}

export interface NodeEpoch {
  epoch: number;
  starts_at: string;
  ends_at: string;
  seconds: number;
  score: number | null;
  gate: number;
  bytes: number;
  availability: string;
  usage: string;
  amount: string;
}

export interface NodeItem {
  node_id: string;
  user_id: string;
  name: string;
  public_key: string;
  created_at: string;
  state: "online" | "degraded" | "offline" | "suspended";
  since: string | null;
  flapping: boolean;
  confirmed_seconds: number;
  country: string | null;
}

export interface NodePage {
  items: NodeItem[];
  next_cursor: string | null;
}

export interface NodeRecord {
  node_id: string;
  user_id: string;
  name: string;
  public_key: string;
  created_at: string;
}

export interface NodeSessionPage {
  items: storage_base_statistics_SessionRecord[];
  next_cursor: string | null;
}

export interface NodeShare {
  node_id: string;
  seconds: number;
  score: number | null;
  gate: number;
  points: number;
  bytes: number;
  country: string | null;
  availability_weight: string;
  usage_weight: string;
  availability: string;
  usage: string;
  arithmetic: string[];
}

export interface NodeTokenRequest {
  node_id: string;
  time_ms: number;
  signature: string;
}

export interface NodeView {
  node_id: string;
  name: string;
  state: string;
  since: string | null;
  confirmed_seconds: number;
  flapping?: boolean;
  country?: string | null;
  rtt_ms?: number | null;
  jitter_ms?: number | null;
}

export interface Offence {
  invariant: string;
  detail: string;
}

export interface OfferedFactor {
  secret: string;
  uri: string;
}

export interface OpenEpochView {
  number: number;
  starts_at: string;
  ends_at: string;
  terms: number;
  measured_at: string | null;
  due_at: string;
  late_ms: number;
  waiting_for: Straggler[];
}

export interface OpenSession {
  session_id: string;
  device: string;
  address: string;
  created_at: string;
  last_used_at: string;
}

export interface Outlook {
  period: "hour" | "day" | "week" | "month";
  start: string;
  end: string;
  booked: string;
  projected: Projection | null;
}

export interface Overview {
  revision: number;
  nodes_total: number;
  nodes_online: number;
  confirmed_seconds: number;
  balance: string;
  accruing: Accruing | null;
  nodes: NodeView[];
}

export interface OwnFlag {
  rule: string;
  reason: string;
  action: "flag" | "gate" | "suspend";
  gate: number | null;
  since: string;
  evidence: Record<string, unknown>;
}

export interface OwnFlags {
  items: OwnFlag[];
}

export interface ParameterView {
  name: string;
  value: number;
  least: number;
  most: number;
  meaning: string;
}

export interface PasswordChange {
  current: string;
  new: string;
}

export interface PasswordShown {
  password: string;
}

export interface Person {
  user_id: string;
  email: string;
  display_name: string;
  role: "user" | "support" | "operator";
  locale: string;
  time_zone: string;
  wallet: string | null;
  second_factor: boolean;
  created_at: string;
}

export interface PersonPage {
  items: Person[];
  next_cursor: string | null;
}

export interface PersonView {
  person: Person;
  sessions: OpenSession[];
}

export interface Point {
  at: string;
  seconds?: number | null;
  uptime?: number | null;
  bytes_up?: number | null;
  bytes_down?: number | null;
  errors?: number | null;
  answered?: number | null;
  missed?: number | null;
  refused?: number | null;
  rtt_p50_ms?: number | null;
  rtt_p95_ms?: number | null;
}

export interface PoolView {
  category: "availability" | "usage" | "streak" | "first_hours" | "campaign" | "referral";
  pool: string;
  weight: string;
  rewarded: string;
  unallocated: string;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  request_id?: string;
  field?: string;
}

export interface Process {
  kind: string;
  process_id: string;
  admin_url: string;
  metrics: Record<string, number | string>;
}

export interface Profile {
  user_id: string;
  email: string;
  display_name: string;
  role: string;
  locale: string;
  time_zone: string;
  wallet: string | null;
  second_factor: boolean;
  created_at: string;
}

export interface ProfileChange {
  display_name?: string | null;
  locale?: string | null;
  time_zone?: string | null;
}

export interface Projection {
  amount: string;
  least: string;
  most: string;
}

export interface RecoveryCodes {
  recovery_codes: string[];
}

export interface RefereePage {
  items: RefereeView[];
  next_cursor: string | null;
}

export interface RefereeView {
  referral_id: string;
  level: number;
  joined_at: string;
  active_at: string | null;
  state: "good" | "review" | "refused";
  earned: string;
  pending: string;
  released: string;
  held: string;
  reversed: string;
}

export interface ReferralSummary {
  codes: CodeView[];
  levels: LevelView[];
  active_hours: number;
  tier: TierView | null;
  next_tier: TierView | null;
  missing: number | null;
  joined_by: string | null;
}

export interface RefreshRequest {
  refresh_token?: string | null;
}

export interface RegisterRequest {
  email: string;
  password: string;
  display_name?: string | null;
  referral_code?: string | null;
  locale?: string | null;
}

export interface ResetRequest {
  token: string;
  password: string;
}

export interface ReviewPage {
  items: ReviewView[];
  next_cursor: string | null;
}

export interface ReviewView {
  referral_id: string;
  user_id: string;
  parent_id: string;
  second_id: string | null;
  third_id: string | null;
  code: string;
  joined_at: string;
  active_at: string | null;
  state: "good" | "review" | "refused";
  evidence: EvidenceView[];
  decision: "released" | "refused" | null;
  decided_at: string | null;
  decided_by: string | null;
  note: string;
}

export interface Rewards {
  balance: string;
  pending: string;
  held: string;
  final: string;
  claimable: string;
  claimed: string;
  minimum_payout: string;
  wallet: string | null;
}

export interface RoleChange {
  role: "user" | "support" | "operator";
}

export interface RuleHistory {
  items: RuleView[];
}

export interface RuleList {
  items: RuleView[];
}

export interface RuleUpdate {
  version: number;
  enabled: boolean;
  action: "flag" | "gate" | "suspend";
  gate: number;
  parameters: Record<string, number>;
  clear_after: number;
  lifts?: boolean;
}

export interface RuleView {
  name: string;
  meaning: string;
  enabled: boolean;
  action: "flag" | "gate" | "suspend";
  gate: number;
  parameters: ParameterView[];
  clear_after: number;
  lifts: boolean;
  version: number;
  updated_at: string;
  updated_by: string | null;
}

export interface Score {
  node_id: string;
  score: number | null;
  base: number | null;
  quarters: number;
  components: Component[];
  gates: Gate[];
  sentence: string;
  advice: string;
  window_seconds: number | null;
  formula_version: number | null;
  computed_at: string | null;
}

export interface ScoreFormula {
  version: number;
  created_at: string;
  parameters: ScoreParameters;
}

export interface ScoreFormulas {
  items: ScoreFormula[];
}

export interface ScoreParameters {
  weights: Weights;
  required: ("uptime" | "latency" | "challenges" | "contribution")[];
  window_hours: number;
  settle_seconds: number;
  least_window_seconds: number;
  least_samples: number;
  least_challenges: number;
  latency_bands: LatencyBand[];
  target_bytes: number;
}

export interface SecurityEvent {
  event_id: string;
  at: string;
  kind: string;
  user_id: string | null;
  actor_id: string | null;
  address: string;
  request_id: string;
  facts: Record<string, unknown>;
}

export interface SecurityEventPage {
  items: SecurityEvent[];
  next_cursor: string | null;
}

export interface Series {
  start: string;
  end: string;
  step: "minute" | "hour" | "day";
  seconds: number;
  uptime: number | null;
  points: Point[];
}

export interface Session {
  access_token: string;
  expires_at: string;
  user: Profile;
  refresh_token?: string;
  refresh_expires_at?: string;
}

export interface SessionPage {
  items: core_http_sessions_SessionRecord[];
  next_cursor: string | null;
}

export interface Straggler {
  worker: string;
  told_to: string | null;
}

export interface StreakView {
  days: number;
  least_seconds: number;
  amount: string;
}

export interface Suspension {
  note: string;
}

export interface TermsView {
  version: number;
  created_at: string;
  availability_pool: string;
  usage_pool: string;
  bonus_pool: string;
  referral_pool: string;
  unmeasured_score: number;
  hold_seconds: number;
  holdback: HoldBack[];
  streak: StreakView | null;
  first_hours: FirstHours | null;
  minimum_payout: string;
}

export interface TierView {
  active: number;
  multiplier: number;
}

export interface Wallet {
  address: string;
}

export interface WalletLink {
  address: string;
  nonce: string;
  signature: string;
}

export interface WalletMessage {
  message: string;
  nonce: string;
  expires_at: string;
}

export interface WalletRequest {
  address: string;
}

export interface Weights {
  uptime: number;
  latency: number;
  challenges: number;
  contribution: number;
}

export interface core_http_sessions_SessionRecord {
  session_id: string;
  device: string;
  address: string;
  created_at: string;
  last_used_at: string;
  expires_at: string;
  current: boolean;
}

export interface storage_base_statistics_SessionRecord {
  session_id: string;
  opened_at: string;
  closed_at: string | null;
  code: number | null;
  worker: string;
  address: string;
  agent_version: string;
  connections: number;
  bytes_up: number;
  bytes_down: number;
  country: string | null;
  asn: number | null;
}

/** What an endpoint takes and gives; `never` stands for nothing. */
export interface Api {
  "GET /admin/abuse/flags": { path: never; query: { state?: "active" | "cleared" | "dismissed" | null; rule?: string | null; user?: string | null; node?: string | null; limit?: number; cursor?: string | null }; body: never; answer: FlagPage; };
  "GET /admin/abuse/flags/{flag_id}/decisions": { path: { flag_id: string }; query: never; body: never; answer: DecisionList; };
  "POST /admin/abuse/flags/{flag_id}/dismiss": { path: { flag_id: string }; query: never; body: Dismissal; answer: FlagView; };
  "GET /admin/abuse/rules": { path: never; query: never; body: never; answer: RuleList; };
  "GET /admin/abuse/rules/{name}": { path: { name: string }; query: never; body: never; answer: RuleHistory; };
  "PUT /admin/abuse/rules/{name}": { path: { name: string }; query: never; body: RuleUpdate; answer: RuleView; };
  "GET /admin/audit": { path: never; query: { user?: string | null; kind?: string | null; limit?: number; cursor?: string | null }; body: never; answer: SecurityEventPage; };
  "GET /admin/campaigns": { path: never; query: { limit?: number; cursor?: string | null }; body: never; answer: CampaignPage; };
  "POST /admin/campaigns": { path: never; query: never; body: NewCampaign; answer: CampaignView; };
  "GET /admin/campaigns/{campaign_id}": { path: { campaign_id: string }; query: never; body: never; answer: CampaignView; };
  "PATCH /admin/campaigns/{campaign_id}": { path: { campaign_id: string }; query: never; body: CampaignUpdate; answer: CampaignView; };
  "GET /admin/epochs": { path: never; query: { limit?: number; cursor?: string | null }; body: never; answer: EpochsOverview; };
  "GET /admin/ledger": { path: never; query: never; body: never; answer: LedgerState; };
  "POST /admin/ledger/checks": { path: never; query: never; body: never; answer: LedgerState; };
  "GET /admin/nodes/{node_id}": { path: { node_id: string }; query: never; body: never; answer: NodeDetail; };
  "POST /admin/nodes/{node_id}/suspend": { path: { node_id: string }; query: never; body: Suspension; answer: FlagView; };
  "POST /admin/nodes/{node_id}/unsuspend": { path: { node_id: string }; query: never; body: Dismissal; answer: FlagList; };
  "GET /admin/referrals": { path: never; query: { state?: "good" | "review" | "refused"; limit?: number; cursor?: string | null }; body: never; answer: ReviewPage; };
  "POST /admin/referrals/{referral_id}/decision": { path: { referral_id: string }; query: never; body: DecisionRequest; answer: Decided; };
  "GET /admin/users": { path: never; query: { q?: string; limit?: number; cursor?: string | null }; body: never; answer: PersonPage; };
  "GET /admin/users/{user_id}": { path: { user_id: string }; query: never; body: never; answer: PersonView; };
  "PATCH /admin/users/{user_id}": { path: { user_id: string }; query: never; body: RoleChange; answer: Person; };
  "DELETE /admin/users/{user_id}/sessions": { path: { user_id: string }; query: never; body: never; answer: Ended; };
  "POST /auth/email/confirm": { path: never; query: never; body: LinkToken; answer: EmailConfirmed; };
  "POST /auth/login": { path: never; query: never; body: LoginRequest; answer: Session; };
  "POST /auth/logout": { path: never; query: never; body: never; answer: never; };
  "POST /auth/password/forgot": { path: never; query: never; body: ForgotRequest; answer: Accepted; };
  "POST /auth/password/reset": { path: never; query: never; body: ResetRequest; answer: never; };
  "POST /auth/refresh": { path: never; query: never; body: RefreshRequest | null; answer: Session; };
  "POST /auth/register": { path: never; query: never; body: RegisterRequest; answer: Accepted; };
  "GET /auth/sessions": { path: never; query: { limit?: number; cursor?: string | null }; body: never; answer: SessionPage; };
  "DELETE /auth/sessions": { path: never; query: { keep_current?: boolean }; body: never; answer: never; };
  "DELETE /auth/sessions/{session_id}": { path: { session_id: string }; query: never; body: never; answer: never; };
  "POST /auth/verify-email": { path: never; query: never; body: LinkToken; answer: never; };
  "GET /client": { path: never; query: never; body: never; answer: ClientSettings; };
  "GET /earnings/epochs": { path: never; query: { limit?: number; cursor?: string | null }; body: never; answer: EpochPage; };
  "GET /earnings/epochs/{number}": { path: { number: number }; query: never; body: never; answer: EpochExplained; };
  "GET /earnings/history": { path: never; query: { limit?: number; cursor?: string | null }; body: never; answer: HistoryPage; };
  "GET /earnings/history.csv": { path: never; query: never; body: never; answer: unknown; };
  "GET /earnings/series": { path: never; query: { period?: "hour" | "day" | "week" | "month"; from?: string | null; to?: string | null; node_id?: string | null }; body: never; answer: EarningsSeries; };
  "GET /earnings/summary": { path: never; query: never; body: never; answer: EarningsSummary; };
  "GET /me": { path: never; query: never; body: never; answer: Profile; };
  "DELETE /me": { path: never; query: never; body: Farewell; answer: never; };
  "PATCH /me": { path: never; query: never; body: ProfileChange; answer: Profile; };
  "PUT /me/email": { path: never; query: never; body: EmailRequest; answer: Accepted; };
  "GET /me/export": { path: never; query: never; body: never; answer: unknown; };
  "GET /me/overview": { path: never; query: never; body: never; answer: Overview; };
  "PUT /me/password": { path: never; query: never; body: PasswordChange; answer: never; };
  "POST /me/second-factor": { path: never; query: never; body: PasswordShown; answer: OfferedFactor; };
  "DELETE /me/second-factor": { path: never; query: never; body: BothShown; answer: never; };
  "POST /me/second-factor/confirm": { path: never; query: never; body: CodeShown; answer: RecoveryCodes; };
  "POST /me/second-factor/recovery-codes": { path: never; query: never; body: BothShown; answer: RecoveryCodes; };
  "GET /me/stats": { path: never; query: { from?: string | null; to?: string | null; step?: "minute" | "hour" | "day" }; body: never; answer: Series; };
  "PUT /me/wallet": { path: never; query: never; body: WalletLink; answer: Wallet; };
  "DELETE /me/wallet": { path: never; query: never; body: never; answer: never; };
  "POST /me/wallet/challenge": { path: never; query: never; body: WalletRequest; answer: WalletMessage; };
  "GET /network/countries": { path: never; query: { from?: string | null; to?: string | null }; body: never; answer: Countries; };
  "GET /network/score-formulas": { path: never; query: never; body: never; answer: ScoreFormulas; };
  "GET /network/series": { path: never; query: { country?: string | null; from?: string | null; to?: string | null; step?: "hour" | "day" }; body: never; answer: NetworkSeries; };
  "GET /network/summary": { path: never; query: never; body: never; answer: NetworkSummary; };
  "GET /nodes": { path: never; query: { state?: "online" | "degraded" | "offline" | "suspended" | null; limit?: number; cursor?: string | null }; body: never; answer: NodePage; };
  "POST /nodes": { path: never; query: never; body: EnrolRequest; answer: NodeRecord; };
  "POST /nodes/enrolments": { path: never; query: never; body: never; answer: Enrolment; };
  "POST /nodes/token": { path: never; query: never; body: NodeTokenRequest; answer: AccessToken; };
  "GET /nodes/{node_id}": { path: { node_id: string }; query: never; body: never; answer: NodeDetail; };
  "DELETE /nodes/{node_id}": { path: { node_id: string }; query: never; body: never; answer: never; };
  "PATCH /nodes/{node_id}": { path: { node_id: string }; query: never; body: NodeChange; answer: NodeRecord; };
  "GET /nodes/{node_id}/earnings": { path: { node_id: string }; query: { limit?: number; cursor?: string | null }; body: never; answer: NodeEarningsPage; };
  "GET /nodes/{node_id}/flags": { path: { node_id: string }; query: never; body: never; answer: OwnFlags; };
  "GET /nodes/{node_id}/score": { path: { node_id: string }; query: never; body: never; answer: Score; };
  "GET /nodes/{node_id}/sessions": { path: { node_id: string }; query: { limit?: number; cursor?: string | null }; body: never; answer: NodeSessionPage; };
  "GET /nodes/{node_id}/stats": { path: { node_id: string }; query: { from?: string | null; to?: string | null; step?: "minute" | "hour" | "day" }; body: never; answer: Series; };
  "GET /referrals": { path: never; query: never; body: never; answer: ReferralSummary; };
  "POST /referrals/codes": { path: never; query: never; body: NewCode; answer: CodeView; };
  "GET /referrals/codes/{code}": { path: { code: string }; query: never; body: never; answer: KnownCode; };
  "GET /referrals/people": { path: never; query: { level?: number; limit?: number; cursor?: string | null }; body: never; answer: RefereePage; };
  "GET /referrals/rewards": { path: never; query: { level?: number | null; limit?: number; cursor?: string | null }; body: never; answer: RefereePage; };
  "GET /rewards": { path: never; query: never; body: never; answer: Rewards; };
  "POST /rewards/claims": { path: never; query: never; body: never; answer: Claim; };
  "GET /healthz": { path: never; query: never; body: never; answer: Health; };
  "GET /metrics": { path: never; query: never; body: never; answer: string; };
  "GET /metrics.json": { path: never; query: never; body: never; answer: ClusterMetrics; };
  "GET /readyz": { path: never; query: never; body: never; answer: Health; };
}
