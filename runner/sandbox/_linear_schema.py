"""The part of Linear's GraphQL schema that the stand-in answers for, in SDL.

Names and types agree with the published schema (a test compares them); everything else is ours.
"""

from __future__ import annotations

from runner.sandbox._linear_unmodelled import SDL

_PAGE = (
    "after: String, before: String, first: Int, includeArchived: Boolean, last: Int,"
    " orderBy: PaginationOrderBy"
)

_SCALARS = """
scalar DateTime
scalar DateTimeOrDuration
scalar TimelessDate
scalar JSONObject

enum PaginationOrderBy { createdAt updatedAt }
enum IssueRelationType { blocks duplicate related similar }
enum ProjectStatusType { backlog canceled completed paused planned started }

type PageInfo {
  endCursor: String
  hasNextPage: Boolean!
  hasPreviousPage: Boolean!
  startCursor: String
}
"""

_OBJECTS = """
type Organization {
  id: ID!
  name: String!
  urlKey: String!
  createdAt: DateTime!
  projectStatuses: [ProjectStatus!]!
  teams(PAGE): TeamConnection!
  users(PAGE): UserConnection!
}

type User {
  id: ID!
  name: String!
  displayName: String!
  email: String!
  active: Boolean!
  admin: Boolean!
  guest: Boolean!
  isMe: Boolean!
  url: String!
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  organization: Organization!
  assignedIssues(PAGE, filter: IssueFilter): IssueConnection!
}

type Team {
  id: ID!
  key: String!
  name: String!
  displayName: String!
  description: String
  timezone: String!
  issueEstimationType: String!
  issueEstimationExtended: Boolean!
  issueEstimationAllowZero: Boolean!
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  defaultIssueState: WorkflowState
  organization: Organization!
  states(PAGE, filter: WorkflowStateFilter): WorkflowStateConnection!
  labels(PAGE, filter: IssueLabelFilter): IssueLabelConnection!
  issues(PAGE, filter: IssueFilter): IssueConnection!
  projects(PAGE, filter: ProjectFilter): ProjectConnection!
  members(PAGE, filter: UserFilter): UserConnection!
}

type WorkflowState {
  id: ID!
  name: String!
  type: String!
  color: String!
  position: Float!
  description: String
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  team: Team!
}

type ProjectStatus {
  id: ID!
  name: String!
  type: ProjectStatusType!
  color: String!
  position: Float!
  description: String
  indefinite: Boolean!
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
}

type Project {
  id: ID!
  name: String!
  description: String!
  content: String
  color: String!
  icon: String
  slugId: String!
  priority: Int!
  priorityLabel: String!
  startDate: TimelessDate
  targetDate: TimelessDate
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  autoArchivedAt: DateTime
  trashed: Boolean
  url: String!
  labelIds: [String!]!
  status: ProjectStatus!
  lead: User
  creator: User
  teams(PAGE, filter: TeamFilter): TeamConnection!
  labels(PAGE, filter: ProjectLabelFilter): ProjectLabelConnection!
  issues(PAGE, filter: IssueFilter): IssueConnection!
  projectMilestones(PAGE, filter: ProjectMilestoneFilter): ProjectMilestoneConnection!
  externalLinks(PAGE): EntityExternalLinkConnection!
  comments(PAGE, filter: CommentFilter): CommentConnection!
}

type ProjectMilestone {
  id: ID!
  name: String!
  description: String
  targetDate: TimelessDate
  sortOrder: Float!
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  project: Project!
  issues(PAGE, filter: IssueFilter): IssueConnection!
}

type Issue {
  id: ID!
  identifier: String!
  number: Float!
  title: String!
  description: String
  priority: Float!
  priorityLabel: String!
  estimate: Float
  dueDate: TimelessDate
  branchName: String!
  sortOrder: Float!
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  autoArchivedAt: DateTime
  startedAt: DateTime
  completedAt: DateTime
  canceledAt: DateTime
  trashed: Boolean
  url: String!
  labelIds: [String!]!
  previousIdentifiers: [String!]!
  team: Team!
  state: WorkflowState!
  assignee: User
  creator: User
  project: Project
  projectMilestone: ProjectMilestone
  parent: Issue
  children(PAGE, filter: IssueFilter): IssueConnection!
  labels(PAGE, filter: IssueLabelFilter): IssueLabelConnection!
  attachments(PAGE, filter: AttachmentFilter): AttachmentConnection!
  relations(PAGE): IssueRelationConnection!
  inverseRelations(PAGE): IssueRelationConnection!
  comments(PAGE, filter: CommentFilter): CommentConnection!
}

type IssueLabel {
  id: ID!
  name: String!
  color: String!
  description: String
  isGroup: Boolean!
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  team: Team
}

type ProjectLabel {
  id: ID!
  name: String!
  color: String!
  description: String
  isGroup: Boolean!
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
}

type IssueRelation {
  id: ID!
  type: String!
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  issue: Issue!
  relatedIssue: Issue!
}

type Attachment {
  id: ID!
  title: String!
  subtitle: String
  url: String!
  metadata: JSONObject!
  sourceType: String
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  issue: Issue!
  creator: User
}

type EntityExternalLink {
  id: ID!
  label: String!
  url: String!
  sortOrder: Float!
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  project: Project
  creator: User
}

type Comment {
  id: ID!
  body: String!
  url: String!
  createdAt: DateTime!
  updatedAt: DateTime!
  archivedAt: DateTime
  issue: Issue
  project: Project
  user: User
}
"""

_FILTERS = """
input IDComparator { eq: ID, in: [ID!], neq: ID, nin: [ID!] }
input IssueIDComparator { eq: ID, in: [ID!], neq: ID, nin: [ID!] }
input BooleanComparator { eq: Boolean, neq: Boolean }
input NumberComparator {
  eq: Float, in: [Float!], neq: Float, nin: [Float!], gt: Float, gte: Float, lt: Float, lte:
  Float
}
input NullableNumberComparator {
  eq: Float, in: [Float!], neq: Float, nin: [Float!], gt: Float, gte: Float, lt: Float, lte:
  Float, null: Boolean
}
input StringComparator {
  eq: String, in: [String!], neq: String, nin: [String!], eqIgnoreCase: String, neqIgnoreCase:
  String, contains: String, containsIgnoreCase: String, notContains: String, startsWith: String,
  endsWith: String
}
input NullableStringComparator {
  eq: String, in: [String!], neq: String, nin: [String!], eqIgnoreCase: String, neqIgnoreCase:
  String, contains: String, containsIgnoreCase: String, notContains: String, startsWith: String,
  endsWith: String, null: Boolean
}
input DateComparator {
  eq: DateTimeOrDuration, in: [DateTimeOrDuration!], neq: DateTimeOrDuration, nin:
  [DateTimeOrDuration!], gt: DateTimeOrDuration, gte: DateTimeOrDuration, lt:
  DateTimeOrDuration, lte: DateTimeOrDuration
}

input CommentFilter {
  id: IDComparator, body: StringComparator, createdAt: DateComparator, and: [CommentFilter!],
  or: [CommentFilter!]
}
input AttachmentFilter {
  id: IDComparator, url: StringComparator, title: StringComparator, and: [AttachmentFilter!],
  or: [AttachmentFilter!]
}
input TeamFilter {
  id: IDComparator, key: StringComparator, name: StringComparator, createdAt: DateComparator,
  updatedAt: DateComparator, and: [TeamFilter!], or: [TeamFilter!]
}
input TeamCollectionFilter { some: TeamFilter, every: TeamFilter }
input NullableTeamFilter {
  id: IDComparator, key: StringComparator, name: StringComparator, null: Boolean, and:
  [NullableTeamFilter!], or: [NullableTeamFilter!]
}
input UserFilter {
  id: IDComparator, name: StringComparator, displayName: StringComparator, email:
  StringComparator, active: BooleanComparator, isMe: BooleanComparator, and: [UserFilter!], or:
  [UserFilter!]
}
input NullableUserFilter {
  id: IDComparator, name: StringComparator, displayName: StringComparator, email:
  StringComparator, isMe: BooleanComparator, null: Boolean, and: [NullableUserFilter!], or:
  [NullableUserFilter!]
}
input WorkflowStateFilter {
  id: IDComparator, name: StringComparator, type: StringComparator, position: NumberComparator,
  team: TeamFilter, and: [WorkflowStateFilter!], or: [WorkflowStateFilter!]
}
input IssueLabelFilter {
  id: IDComparator, name: StringComparator, isGroup: BooleanComparator, team:
  NullableTeamFilter, and: [IssueLabelFilter!], or: [IssueLabelFilter!]
}
input IssueLabelCollectionFilter { some: IssueLabelFilter, every: IssueLabelFilter, null: Boolean }
input ProjectLabelFilter {
  id: IDComparator, name: StringComparator, isGroup: BooleanComparator, and:
  [ProjectLabelFilter!], or: [ProjectLabelFilter!]
}
input ProjectFilter {
  id: IDComparator, name: StringComparator, slugId: StringComparator, createdAt: DateComparator,
  updatedAt: DateComparator, lead: NullableUserFilter, priority: NullableNumberComparator,
  accessibleTeams: TeamCollectionFilter, and: [ProjectFilter!], or: [ProjectFilter!]
}
input NullableProjectFilter {
  id: IDComparator, name: StringComparator, slugId: StringComparator, null: Boolean, and:
  [NullableProjectFilter!], or: [NullableProjectFilter!]
}
input ProjectMilestoneFilter {
  id: IDComparator, name: NullableStringComparator, createdAt: DateComparator, updatedAt:
  DateComparator, project: NullableProjectFilter, and: [ProjectMilestoneFilter!], or:
  [ProjectMilestoneFilter!]
}
input NullableProjectMilestoneFilter {
  id: IDComparator, name: NullableStringComparator, project: NullableProjectFilter, null:
  Boolean, and: [NullableProjectMilestoneFilter!], or: [NullableProjectMilestoneFilter!]
}
input NullableIssueFilter {
  id: IssueIDComparator, title: StringComparator, null: Boolean, and: [NullableIssueFilter!],
  or: [NullableIssueFilter!]
}
input IssueFilter {
  id: IssueIDComparator, number: NumberComparator, title: StringComparator, description:
  NullableStringComparator, priority: NullableNumberComparator, createdAt: DateComparator,
  updatedAt: DateComparator, team: TeamFilter, state: WorkflowStateFilter, assignee:
  NullableUserFilter, project: NullableProjectFilter, projectMilestone:
  NullableProjectMilestoneFilter, parent: NullableIssueFilter, labels:
  IssueLabelCollectionFilter, and: [IssueFilter!], or: [IssueFilter!]
}
"""

_INPUTS = """
input IssueCreateInput {
  id: String, title: String, description: String, teamId: String!, stateId: String, priority:
  Int, estimate: Int, dueDate: TimelessDate, assigneeId: String, labelIds: [String!], parentId:
  String, projectId: String, projectMilestoneId: String, sortOrder: Float
}
input IssueBatchCreateInput { issues: [IssueCreateInput!]! }
input IssueUpdateInput {
  title: String, description: String, teamId: String, stateId: String, priority: Int, estimate:
  Int, dueDate: TimelessDate, assigneeId: String, labelIds: [String!], addedLabelIds: [String!],
  removedLabelIds: [String!], parentId: String, projectId: String, projectMilestoneId: String,
  sortOrder: Float, trashed: Boolean
}
input IssueRelationCreateInput {
  id: String, issueId: String!, relatedIssueId: String!, type: IssueRelationType!
}
input IssueLabelCreateInput {
  id: String, name: String!, color: String, description: String, isGroup: Boolean, teamId:
  String
}
input ProjectCreateInput {
  id: String, name: String!, description: String, content: String, color: String, icon: String,
  statusId: String, priority: Int, leadId: String, startDate: TimelessDate, targetDate:
  TimelessDate, labelIds: [String!], teamIds: [String!]!
}
input ProjectUpdateInput {
  name: String, description: String, content: String, color: String, icon: String, statusId:
  String, priority: Int, leadId: String, startDate: TimelessDate, targetDate: TimelessDate,
  labelIds: [String!], teamIds: [String!], trashed: Boolean
}
input ProjectLabelCreateInput {
  id: String, name: String!, color: String, description: String, isGroup: Boolean
}
input ProjectMilestoneCreateInput {
  id: String, name: String!, description: String, projectId: String!, targetDate: TimelessDate,
  sortOrder: Float
}
input ProjectMilestoneUpdateInput {
  name: String, description: String, projectId: String, targetDate: TimelessDate, sortOrder:
  Float
}
input AttachmentCreateInput {
  id: String, issueId: String!, title: String!, subtitle: String, url: String!, metadata:
  JSONObject
}
input EntityExternalLinkCreateInput {
  id: String, projectId: String, label: String!, url: String!, sortOrder: Float
}
input EntityExternalLinkUpdateInput { label: String, url: String, sortOrder: Float }
input CommentCreateInput { id: String, body: String, issueId: String, projectId: String }
"""

_PAYLOADS = {
    "IssuePayload": "issue: Issue",
    "IssueBatchPayload": "issues: [Issue!]!",
    "IssueArchivePayload": "entity: Issue",
    "IssueRelationPayload": "issueRelation: IssueRelation!",
    "IssueLabelPayload": "issueLabel: IssueLabel!",
    "ProjectPayload": "project: Project",
    "ProjectArchivePayload": "entity: Project",
    "ProjectLabelPayload": "projectLabel: ProjectLabel!",
    "ProjectMilestonePayload": "projectMilestone: ProjectMilestone!",
    "AttachmentPayload": "attachment: Attachment!",
    "EntityExternalLinkPayload": "entityExternalLink: EntityExternalLink!",
    "CommentPayload": "comment: Comment!",
    "DeletePayload": "entityId: String!",
}

_CONNECTED = (
    "Issue",
    "Project",
    "ProjectMilestone",
    "ProjectStatus",
    "ProjectLabel",
    "IssueLabel",
    "IssueRelation",
    "Attachment",
    "EntityExternalLink",
    "Comment",
    "Team",
    "User",
    "WorkflowState",
)

_ROOTS = """
type Query {
  viewer: User!
  organization: Organization!
  user(id: String!): User!
  users(
    PAGE
    filter: UserFilter
    includeDisabled: Boolean
    sort: [UserSortInput!]
  ): UserConnection!
  team(id: String!): Team!
  teams(PAGE, filter: TeamFilter): TeamConnection!
  workflowState(id: String!): WorkflowState!
  workflowStates(PAGE, filter: WorkflowStateFilter): WorkflowStateConnection!
  issue(id: String!): Issue!
  issues(PAGE, filter: IssueFilter, sort: [IssueSortInput!]): IssueConnection!
  issueLabels(PAGE, filter: IssueLabelFilter): IssueLabelConnection!
  project(id: String!): Project!
  projects(PAGE, filter: ProjectFilter, sort: [ProjectSortInput!]): ProjectConnection!
  projectStatuses(PAGE): ProjectStatusConnection!
  projectLabels(PAGE, filter: ProjectLabelFilter): ProjectLabelConnection!
  projectMilestone(id: String!): ProjectMilestone!
  projectMilestones(PAGE, filter: ProjectMilestoneFilter): ProjectMilestoneConnection!
}

type Mutation {
  issueCreate(input: IssueCreateInput!): IssuePayload!
  issueBatchCreate(input: IssueBatchCreateInput!): IssueBatchPayload!
  issueUpdate(id: String!, input: IssueUpdateInput!): IssuePayload!
  issueArchive(id: String!, trash: Boolean): IssueArchivePayload!
  issueUnarchive(id: String!): IssueArchivePayload!
  issueDelete(id: String!, permanentlyDelete: Boolean): IssueArchivePayload!
  issueRelationCreate(
    input: IssueRelationCreateInput!
    overrideCreatedAt: DateTime
  ): IssueRelationPayload!
  issueRelationDelete(id: String!): DeletePayload!
  issueLabelCreate(input: IssueLabelCreateInput!, replaceTeamLabels: Boolean): IssueLabelPayload!
  projectCreate(input: ProjectCreateInput!, slackChannelName: String): ProjectPayload!
  projectUpdate(id: String!, input: ProjectUpdateInput!): ProjectPayload!
  projectDelete(id: String!): ProjectArchivePayload!
  projectUnarchive(id: String!): ProjectArchivePayload!
  projectLabelCreate(input: ProjectLabelCreateInput!): ProjectLabelPayload!
  projectMilestoneCreate(input: ProjectMilestoneCreateInput!): ProjectMilestonePayload!
  projectMilestoneUpdate(
    id: String!
    input: ProjectMilestoneUpdateInput!
  ): ProjectMilestonePayload!
  projectMilestoneDelete(id: String!): DeletePayload!
  attachmentCreate(input: AttachmentCreateInput!): AttachmentPayload!
  attachmentDelete(id: String!): DeletePayload!
  entityExternalLinkCreate(input: EntityExternalLinkCreateInput!): EntityExternalLinkPayload!
  entityExternalLinkUpdate(
    id: String!
    input: EntityExternalLinkUpdateInput!
  ): EntityExternalLinkPayload!
  entityExternalLinkDelete(id: String!): DeletePayload!
  commentCreate(input: CommentCreateInput!): CommentPayload!
}
"""


def sdl() -> str:
    """Return the whole schema as text."""
    payloads = "".join(
        f"type {name} {{ success: Boolean!, lastSyncId: Float!, {told} }}\n"
        for name, told in _PAYLOADS.items()
    )
    connections = "".join(
        f"type {name}Connection {{\n"
        f"  edges: [{name}Edge!]!\n  nodes: [{name}!]!\n  pageInfo: PageInfo!\n}}\n"
        f"type {name}Edge {{ cursor: String!, node: {name}! }}\n"
        for name in _CONNECTED
    )
    parts = (_SCALARS, _OBJECTS, connections, _FILTERS, _INPUTS, payloads, _ROOTS, SDL)
    return "".join(parts).replace("PAGE", _PAGE)
