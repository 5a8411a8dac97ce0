"""What Linear's own TypeScript client asks for and the stand-in has nothing to say about.

Its fragments name almost every field there is (tried with version 88.3.0). Such a field is
answered with null where it may be null, else with a neutral value of its type.
"""

from __future__ import annotations

from typing import Any

from graphql import GraphQLEnumType, GraphQLSchema

SDL = """
input IssueSortInput { createdAt: CreatedAtSort }
input ProjectSortInput { createdAt: ProjectCreatedAtSort }
input UserSortInput { displayName: UserDisplayNameSort }
input CreatedAtSort { nulls: PaginationNulls, order: PaginationSortOrder }
input ProjectCreatedAtSort { nulls: PaginationNulls, order: PaginationSortOrder }
input UserDisplayNameSort { nulls: PaginationNulls, order: PaginationSortOrder }
enum PaginationNulls { first last }
enum PaginationSortOrder { Ascending Descending }
enum DateResolutionType { halfYear month quarter year }
enum Day { Friday Monday Saturday Sunday Thursday Tuesday Wednesday }
enum ExternalSyncService { github jira slack }
enum FeedSummarySchedule { daily never weekly }
enum FrequencyResolutionType { daily weekly }
enum IntegrationService {
   airbyte asksWeb discord email figma figmaPlugin front github githubCodeAccessPersonal
  githubCommit githubEnterpriseServer githubImport githubPersonal gitlab gong
  googleCalendarPersonal googleSheets intercom jira jiraPersonal launchDarkly
  launchDarklyPersonal loom mcpServer mcpServerPersonal microsoftPersonal microsoftTeams
  microsoftTeamsProjectPost notion opsgenie pagerDuty salesforce sentry slack slackAsks
  slackCustomViewNotifications slackInitiativePost slackOrgInitiativeUpdatesPost
  slackOrgProjectUpdatesPost slackPersonal slackPost slackProjectPost slackProjectUpdatesPost
  zendesk
}
enum IssueSharedAccessDisallowedField { cycleId projectId projectMilestoneId teamId }
enum ProjectMilestoneStatus { done next overdue unstarted }
enum ProjectUpdateHealthType { atRisk offTrack onTrack }
enum ProjectUpdateReminderFrequency { month never twoWeeks week }
enum ReleaseChannel { beta development internal preRelease privateBeta public }
enum SLADayCountType { all onlyBusinessDays }
enum TeamVisibility { private public restricted }
union ExternalEntityInfoMetadata =
  | ExternalEntityInfoGithubMetadata
  | ExternalEntityInfoJiraMetadata
  | ExternalEntitySlackMetadata
type ActorBot {
  avatarUrl: String, id: ID, name: String, subType: String, type: String!, userDisplayName:
  String
}
type AiPromptRules {
  archivedAt: DateTime, createdAt: DateTime!, id: ID!, updatedAt: DateTime!, updatedBy: User
}
type Cycle {
  id: ID!
}
type Document {
  id: ID!
}
type DocumentContent {
  aiPromptRules: AiPromptRules, archivedAt: DateTime, content: String, contentState: String,
  createdAt: DateTime!, document: Document, id: ID!, initiative: Initiative, issue: Issue,
  project: Project, projectMilestone: ProjectMilestone, restoredAt: DateTime, updatedAt:
  DateTime!, welcomeMessage: WelcomeMessage
}
type ExternalEntityInfo {
  id: String!, metadata: ExternalEntityInfoMetadata, service: ExternalSyncService!
}
type ExternalEntityInfoGithubMetadata {
  number: Float, owner: String, repo: String
}
type ExternalEntityInfoJiraMetadata {
  issueKey: String, issueTypeId: String, projectId: String
}
type ExternalEntitySlackMetadata {
  channelId: String, channelName: String, isFromSlack: Boolean!, messageUrl: String
}
type ExternalUser {
  id: ID!
}
type Favorite {
  id: ID!
}
type Initiative {
  id: ID!
}
type InitiativeUpdate {
  id: ID!
}
type Integration {
  id: ID!
}
type IntegrationsSettings {
  id: ID!
}
extend type Issue {
  addedToCycleAt: DateTime, addedToProjectAt: DateTime, addedToTeamAt: DateTime,
  asksExternalUserRequester: ExternalUser, asksRequester: User, autoClosedAt: DateTime,
  boardOrder: Float!, botActor: ActorBot, customerTicketCount: Int!, cycle: Cycle, delegate:
  User, externalUserCreator: ExternalUser, favorite: Favorite, inheritsSharedAccess:
  Boolean!, integrationSourceType: IntegrationService, lastAppliedTemplate: Template,
  prioritySortOrder: Float!, reactionData: JSONObject!, reactions: [Reaction!]!,
  recurringIssueTemplate: Template, sharedAccess: IssueSharedAccess!, slaBreachesAt:
  DateTime, slaHighRiskAt: DateTime, slaMediumRiskAt: DateTime, slaStartedAt: DateTime,
  slaType: String, snoozedBy: User, snoozedUntilAt: DateTime, sourceComment: Comment,
  startedTriageAt: DateTime, subIssueSortOrder: Float, syncedWith: [ExternalEntityInfo!],
  triagedAt: DateTime
}
extend type IssueLabel {
  creator: User, inheritedFrom: IssueLabel, lastAppliedAt: DateTime, parent: IssueLabel,
  retiredBy: User
}
type IssueSharedAccess {
  disallowedIssueFields: [IssueSharedAccessDisallowedField!]!, isShared: Boolean!,
  sharedWithCount: Int!, sharedWithUsers: [User!]!, viewerHasOnlySharedAccess: Boolean!
}
extend type Organization {
  aiDiscussionSummariesEnabled: Boolean!, aiThreadSummariesEnabled: Boolean!,
  allowMembersToInvite: Boolean, allowedAuthServices: [String!]!,
  allowedFileUploadContentTypes: [String!], archivedAt: DateTime, authSettings: JSONObject!,
  createdIssueCount: Int!, customerCount: Int!, customersConfiguration: JSONObject!,
  customersEnabled: Boolean!, defaultFeedSummarySchedule: FeedSummarySchedule,
  defaultHomeView: String, deletionRequestedAt: DateTime, feedEnabled: Boolean!,
  fiscalYearStartMonth: Float!, gitBranchFormat: String, gitLinkbackDescriptionsEnabled:
  Boolean!, gitLinkbackMessagesEnabled: Boolean!, gitPublicLinkbackMessagesEnabled:
  Boolean!, hideNonPrimaryOrganizations: Boolean!, hipaaComplianceEnabled: Boolean!,
  initiativeUpdateReminderFrequencyInWeeks: Float, initiativeUpdateRemindersDay: Day!,
  initiativeUpdateRemindersHour: Float!, logoUrl: String, periodUploadVolume: Float!,
  previousUrlKeys: [String!]!, projectUpdateReminderFrequencyInWeeks: Float,
  projectUpdateRemindersDay: Day!, projectUpdateRemindersHour: Float!,
  projectUpdatesReminderFrequency: ProjectUpdateReminderFrequency!, pullRequestIssueMode:
  String!, pullRequestTourEnabled: Boolean!, releaseChannel: ReleaseChannel!,
  releasesEnabled: Boolean!, restrictLabelManagementToAdmins: Boolean,
  restrictTeamCreationToAdmins: Boolean, roadmapEnabled: Boolean!, samlEnabled: Boolean!,
  scimEnabled: Boolean!, securitySettings: JSONObject!, slaDayCount: SLADayCountType!,
  slackProjectChannelIntegration: Integration, slackProjectChannelPrefix: String!,
  subscription: PaidSubscription, trialEndsAt: DateTime, trialStartsAt: DateTime, updatedAt:
  DateTime!, userCount: Int!
}
type PaidSubscription {
  archivedAt: DateTime, cancelAt: DateTime, canceledAt: DateTime, collectionMethod: String!,
  createdAt: DateTime!, creator: User, id: ID!, nextBillingAt: DateTime, pendingChangeType:
  String, seats: Float!, seatsMaximum: Float, seatsMinimum: Float, type: String!, updatedAt:
  DateTime!
}
extend type Project {
  canceledAt: DateTime, completedAt: DateTime, completedIssueCountHistory: [Float!]!,
  completedScopeHistory: [Float!]!, convertedFromIssue: Issue, documentContent:
  DocumentContent, favorite: Favorite, frequencyResolution: FrequencyResolutionType!,
  health: ProjectUpdateHealthType, healthUpdatedAt: DateTime, inProgressScopeHistory:
  [Float!]!, integrationsSettings: IntegrationsSettings, issueCountHistory: [Float!]!,
  lastAppliedTemplate: Template, lastUpdate: ProjectUpdate, microsoftTeamsChannelId: String,
  prioritySortOrder: Float!, progress: Float!, projectUpdateRemindersPausedUntilAt:
  DateTime, scope: Float!, scopeHistory: [Float!]!, slackChannelId: String,
  slackIssueComments: Boolean!, slackIssueStatuses: Boolean!, slackNewIssue: Boolean!,
  sortOrder: Float!, startDateResolution: DateResolutionType, startedAt: DateTime, state:
  String!, syncedWith: [ExternalEntityInfo!], targetDateResolution: DateResolutionType,
  updateReminderFrequency: Float, updateReminderFrequencyInWeeks: Float, updateRemindersDay:
  Day, updateRemindersHour: Float
}
extend type ProjectLabel {
  creator: User, lastAppliedAt: DateTime, parent: ProjectLabel, retiredBy: User
}
extend type ProjectMilestone {
  documentContent: DocumentContent, progress: Float!, status: ProjectMilestoneStatus!
}
type ProjectUpdate {
  id: ID!
}
type Reaction {
  archivedAt: DateTime, comment: Comment, createdAt: DateTime!, emoji: String!,
  externalUser: ExternalUser, id: ID!, initiativeUpdate: InitiativeUpdate, issue: Issue,
  projectUpdate: ProjectUpdate, updatedAt: DateTime!, user: User
}
extend type Team {
  activeCycle: Cycle, aiDiscussionSummariesEnabled: Boolean!, aiThreadSummariesEnabled:
  Boolean!, allMembersCanJoin: Boolean, autoArchivePeriod: Float!, autoCloseChildIssues:
  Boolean, autoCloseParentIssues: Boolean, autoClosePeriod: Float, autoCloseStateId: String,
  color: String, cycleCalenderUrl: String!, cycleCooldownTime: Float!, cycleDuration:
  Float!, cycleIssueAutoAssignCompleted: Boolean!, cycleIssueAutoAssignStarted: Boolean!,
  cycleLockToActive: Boolean!, cycleStartDay: Float!, cyclesEnabled: Boolean!,
  defaultIssueEstimate: Float!, defaultProjectTemplate: Template, defaultTemplateForMembers:
  Template, defaultTemplateForMembersId: String, defaultTemplateForNonMembers: Template,
  defaultTemplateForNonMembersId: String, draftWorkflowState: WorkflowState,
  groupIssueHistory: Boolean!, icon: String, inheritIssueEstimation: Boolean!,
  inheritWorkflowStatuses: Boolean!, integrationsSettings: IntegrationsSettings, inviteHash:
  String!, issueCount: Int!, issueOrderingNoPriorityFirst: Boolean!,
  issueSortOrderDefaultToBottom: Boolean!, ledInitiativeCount: Int!,
  markedAsDuplicateWorkflowState: WorkflowState, mergeWorkflowState: WorkflowState,
  mergeableWorkflowState: WorkflowState, parent: Team, private: Boolean!,
  requirePriorityToLeaveTriage: Boolean!, retiredAt: DateTime, reviewWorkflowState:
  WorkflowState, scimGroupName: String, scimManaged: Boolean!, securitySettings:
  JSONObject!, setIssueSortOrderOnStateChange: String!, slackIssueComments: Boolean!,
  slackIssueStatuses: Boolean!, slackNewIssue: Boolean!, startWorkflowState: WorkflowState,
  triageEnabled: Boolean!, triageIssueState: WorkflowState, triageResponsibility:
  TriageResponsibility, upcomingCycleCount: Float!, visibility: TeamVisibility!
}
type Template {
  id: ID!
}
type TriageResponsibility {
  id: ID!
}
extend type User {
  app: Boolean!, avatarBackgroundColor: String!, avatarUrl: String, calendarHash: String,
  canAccessAnyPublicTeam: Boolean!, createdIssueCount: Int!, description: String,
  disableReason: String, gitHubUserId: String, initials: String!, inviteHash: String!,
  isAssignable: Boolean!, isMentionable: Boolean!, lastSeen: DateTime, owner: Boolean!,
  statusEmoji: String, statusLabel: String, statusUntilAt: DateTime, supportsAgentSessions:
  Boolean!, timezone: String, title: String
}
type WelcomeMessage {
  archivedAt: DateTime, createdAt: DateTime!, enabled: Boolean!, id: ID!, title: String,
  updatedAt: DateTime!, updatedBy: User
}
extend type WorkflowState {
  inheritedFrom: WorkflowState
}
type AgentSession {
  id: ID!
}
extend type Attachment {
  bodyData: String, externalUserCreator: ExternalUser, groupBySource: Boolean!,
  originalIssue: Issue, source: JSONObject
}
extend type Comment {
  agentSession: AgentSession, botActor: ActorBot, documentContent: DocumentContent,
  documentContentId: String, editedAt: DateTime, externalThread: SyncedExternalThread,
  externalUser: ExternalUser, initiative: Initiative, initiativeId: String,
  initiativeUpdate: InitiativeUpdate, initiativeUpdateId: String, issueId: String, parent:
  Comment, parentId: String, projectId: String, projectUpdate: ProjectUpdate,
  projectUpdateId: String, quotedText: String, reactionData: JSONObject!, reactions:
  [Reaction!]!, resolvedAt: DateTime, resolvingComment: Comment, resolvingCommentId: String,
  resolvingUser: User, syncedWith: [ExternalEntityInfo!]
}
type SyncedExternalThread {
  displayName: String, id: ID, isConnected: Boolean!, isPersonalIntegrationConnected:
  Boolean!, isPersonalIntegrationRequired: Boolean!, name: String, subType: String, type:
  String!, url: String
}
"""

_BY_TYPE: dict[str, Any] = {
    "Boolean": False,
    "DateTime": "1970-01-01T00:00:00.000Z",
    "Float": 0.0,
    "ID": "",
    "Int": 0,
    "String": "",
    "TeamVisibility": "public",
}


def neutral(kind: str, schema: GraphQLSchema) -> Any:
    """Return what to answer for a field that is not modelled, given its type as text."""
    if not kind.endswith("!"):
        return None
    if kind.startswith("["):
        return []
    name = kind.rstrip("!")
    if name in _BY_TYPE:
        return _BY_TYPE[name]
    named = schema.type_map[name]
    return next(iter(named.values)) if isinstance(named, GraphQLEnumType) else {}
