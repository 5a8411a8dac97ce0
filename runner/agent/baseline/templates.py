"""What projects of a kind usually consist of: phases, tasks, estimates and dependencies.

A template is a short text. Each phase ends with a milestone; a task has its usual work, and behind
`<` what it waits for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from runner.agent.baseline.dates import fold
from schemas.values import parse_estimate


@dataclass(frozen=True, slots=True)
class Piece:
    """A task of a template.

    Attributes:
        minutes: the usual work; for a task with subtasks, 0.
        after: keys of what it waits for.
    """

    key: str
    title: str
    minutes: int
    after: tuple[str, ...]
    subtasks: tuple[Piece, ...] = ()

    def leaves(self) -> Iterator[Piece]:
        """Yield what is work: its subtasks, or itself."""
        if not self.subtasks:
            yield self
        for piece in self.subtasks:
            yield from piece.leaves()


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a project that ends with a milestone."""

    key: str
    name: str
    pieces: tuple[Piece, ...]

    def leaves(self) -> Iterator[Piece]:
        """Yield its tasks that are work."""
        for piece in self.pieces:
            yield from piece.leaves()


@dataclass(frozen=True, slots=True)
class Template:
    """What projects of a kind usually consist of.

    Attributes:
        name: the kind, as in "the usual breakdown of ...".
        words: what tells this kind of project, in several languages, without accents.
    """

    name: str
    words: tuple[str, ...]
    phases: tuple[Phase, ...]

    @property
    def minutes(self) -> int:
        """The usual work of it all."""
        return sum(leaf.minutes for phase in self.phases for leaf in phase.leaves())


def template_for(text: str) -> Template:
    """Return the template whose words a text holds most of; one for anything, if none."""
    words = set(re.findall(r"[^\W_]+", fold(text)))
    joined = " ".join(re.findall(r"[^\W_]+", fold(text)))

    def hits(template: Template) -> int:
        return sum(
            2 if " " in word and word in joined else word in words for word in template.words
        )

    best = max(TEMPLATES, key=hits)
    return best if hits(best) else GENERIC


_LINE = re.compile(
    r"(?P<key>[a-z0-9-]+): (?P<title>[^<]+?)(?:, (?P<work>\d+[hdw]))?(?: < (?P<after>.+))?"
)


def _template(name: str, words: str, text: str) -> Template:
    """Return a template from its text; see `_MOBILE_APP` for the form."""
    phases: list[tuple[str, str, list[_Draft]]] = []
    for line in text.strip("\n").splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"this is no line of a template: {line}")
        depth = (len(line) - len(line.lstrip())) // 2
        if depth == 0:
            phases.append((match["key"], match["title"], []))
            continue
        after = tuple(re.split(r",\s*", match["after"])) if match["after"] else ()
        minutes = parse_estimate(match["work"]) if match["work"] else 0
        draft = _Draft(match["key"], match["title"], minutes, after)
        (phases[-1][2] if depth == 1 else phases[-1][2][-1].subtasks).append(draft)
    return Template(
        name,
        tuple(word.strip() for word in words.split(",")),
        tuple(Phase(key, title, _pieces(drafts)) for key, title, drafts in phases),
    )


@dataclass(slots=True)
class _Draft:
    key: str
    title: str
    minutes: int
    after: tuple[str, ...]
    subtasks: list[_Draft] = field(default_factory=list["_Draft"])


def _pieces(drafts: Sequence[_Draft]) -> tuple[Piece, ...]:
    return tuple(Piece(d.key, d.title, d.minutes, d.after, _pieces(d.subtasks)) for d in drafts)


_MOBILE_APP = """
concept: Concept agreed
  scope: Agree on scope and audience, 2d
  user-flows: Sketch the main user flows, 3d < scope
  pick-stack: Choose the stack and set up the project, 2d < scope
design: Design ready
  wireframes: Draw wireframes of every screen, 3d < user-flows
  visual-design: Design the look and the components, 4d < wireframes
  prototype-test: Try a clickable prototype with five people, 2d < visual-design
beta: Beta
  backend: Build the backend
    data-model: Model the data, 2d < pick-stack, user-flows
    api: Build the API, 5d < data-model
    sign-in: Add accounts and sign-in, 3d < api
  app: Build the app
    navigation: Build navigation and the first screen, 3d < prototype-test
    main-screens: Build the main screens, 8d < navigation, api
    offline: Handle poor or no connection, 3d < main-screens
    notifications: Add notifications, 2d < main-screens
  beta-build: Distribute a beta to testers, 1d < sign-in, offline, notifications
release: In the stores
  beta-feedback: Fix what the beta brings up, 4d < beta-build
  accessibility: Check accessibility and performance, 2d < beta-build
  store-listing: Write the store listings and take screenshots, 2d < beta-build
  submit: Submit to the stores, 1d < beta-feedback, accessibility, store-listing
"""
_WEBSITE = """
content: Content agreed
  goals: Agree on goals and audience, 1d
  sitemap: Draw up the site map, 1d < goals
  copy: Write the copy, 4d < sitemap
design: Design ready
  page-design: Design the main page types, 4d < sitemap
  design-review: Review the design and settle it, 1d < page-design
built: Built
  hosting: Set up hosting and the domain, 1d
  templates: Build the page templates, 5d < design-review
  fill-pages: Fill the pages with copy and images, 3d < templates, copy
  forms: Add forms and analytics, 2d < templates
live: Live
  check-site: Check on phones, for speed and accessibility, 2d < fill-pages, forms
  redirects: Set up redirects from old addresses, 1d < fill-pages
  go-live: Go live, 1d < check-site, redirects, hosting
"""
_SOFTWARE = """
agreed: Requirements agreed
  requirements: Write down the requirements, 2d
  design-doc: Design the solution and have it reviewed, 3d < requirements
  skeleton: Set up repository and pipeline, 1d
working: Works end to end
  data-model: Model the data, 2d < design-doc
  core: Build the core, 6d < data-model, skeleton
  interface: Build the interface, 4d < core
  integration: Connect what it depends on, 3d < core
ready: Ready for use
  tests: Cover it with automated tests, 3d < interface, integration
  monitoring: Add logging and alerts, 1d < core
  docs: Write the documentation, 2d < interface
released: Released
  trial: Try it with the first users, 2d < tests, monitoring
  release: Release it, 1d < trial, docs
"""
_LAUNCH = """
positioned: Message agreed
  audience: Decide whom it is for, 1d
  message: Agree on the message and the price, 2d < audience
  launch-plan: Plan channels and dates, 1d < message
prepared: Everything prepared
  landing-page: Build the landing page, 3d < message
  press-kit: Put together the press kit, 2d < message
  announcement: Write announcement and e-mails, 2d < launch-plan
  demo-video: Record a demo, 2d < message
  support: Prepare support and answers to likely questions, 1d < message
launched: Launched
  rehearsal: Rehearse the launch day, 1d < landing-page, announcement, demo-video, support
  launch-day: Launch, 1d < rehearsal, press-kit
  look-back: Look at the numbers and note what was learned, 1d < launch-day
"""
_EVENT = """
planned: Plan agreed
  format: Agree on aim, format and size, 1d
  budget: Draw up the budget, 1d < format
  date: Settle the date, 4h < format
booked: Booked
  venue: Find and book the venue, 3d < budget, date
  speakers: Invite speakers and settle the programme, 4d < date
  catering: Order catering, 1d < venue
announced: Announced
  registration: Set up registration, 1d < venue
  invitations: Write and send invitations, 2d < registration, speakers
  signs: Prepare signs, badges and handouts, 2d < speakers
held: Held
  run-sheet: Write the run sheet and brief helpers, 1d < catering, invitations, signs
  event-day: Hold the event, 1d < run-sheet
  thanks: Thank everybody and settle the bills, 1d < event-day
"""
_RESEARCH = """
framed: Question settled
  question: Settle the question and what would answer it, 2d
  literature: Review what is known, 5d < question
  method: Choose the method, 2d < literature
collected: Data collected
  instruments: Prepare instruments and consent, 3d < method
  pilot: Run a pilot, 2d < instruments
  collect: Collect the data, 8d < pilot
analysed: Analysed
  clean: Clean and document the data, 3d < collect
  analyse: Analyse the data, 5d < clean
  discuss: Discuss the findings with others, 1d < analyse
published: Written up
  draft: Write the draft, 5d < discuss
  review: Have it reviewed and revise it, 3d < draft
  publish: Publish the results, 1d < review
"""
_MIGRATION = """
assessed: Assessed
  inventory: List what has to move, 2d
  risks: Assess risks and dependencies, 1d < inventory
  target: Prepare the target, 3d < risks
rehearsed: Rehearsed
  tooling: Write the migration steps as scripts, 4d < inventory
  rollback: Work out the way back, 2d < tooling
  rehearsal: Rehearse with a copy and compare, 3d < tooling, target
switched: Switched over
  announce: Announce the switch, 4h < rehearsal
  migrate: Migrate, 2d < rehearsal, rollback, announce
  verify: Verify that everything arrived, 1d < migrate
finished: Old system off
  watch: Watch it for a while and fix what turns up, 3d < verify
  switch-off: Switch the old system off, 1d < watch
  handover: Document the new set-up, 2d < verify
"""
_CAMPAIGN = """
brief: Brief agreed
  goal: Agree on the goal and how it is measured, 1d
  audience: Describe the audience, 1d < goal
  channels: Choose channels and budget, 1d < audience
made: Material ready
  concept: Develop the idea, 2d < audience
  texts: Write the texts, 3d < concept
  visuals: Make the visuals, 4d < concept
running: Running
  set-up: Set up ads, mailings and tracking, 2d < channels, texts, visuals
  start: Start the campaign, 4h < set-up
  adjust: Watch the numbers and adjust, 3d < start
evaluated: Evaluated
  report: Report the results and what was learned, 1d < adjust
"""
_HIRING = """
role: Role agreed
  profile: Agree on the role and what it needs, 1d
  advert: Write the advert, 1d < profile
  process: Settle the steps and who takes part, 4h < profile
candidates: Candidates found
  publish-advert: Publish the advert and ask around, 1d < advert
  screen: Screen applications, 3d < publish-advert, process
chosen: Chosen
  interviews: Hold interviews, 4d < screen
  references: Check references, 1d < interviews
  decide: Decide, 4h < interviews, references
started: Started
  offer: Make the offer and sign, 1d < decide
  first-weeks: Prepare the first weeks, 1d < offer
"""
_COURSE = """
outlined: Outline agreed
  audience: Find out what learners know and need, 1d
  goals: Write down what they can do afterwards, 1d < audience
  outline: Outline the lessons, 2d < goals
material: Material ready
  lessons: Write the lessons, 8d < outline
  exercises: Make exercises and solutions, 4d < lessons
  slides: Prepare slides or recordings, 4d < lessons
tried: Tried out
  pilot: Hold it once with a small group, 2d < exercises, slides
  revise: Revise it after the pilot, 2d < pilot
open: Open
  announce: Announce it, 1d < pilot
  first-run: Hold the first run, 2d < revise, announce
"""
_BOOK = """
outline: Outline settled
  idea: Settle idea and readers, 2d
  chapters: Outline the chapters, 2d < idea
  sources: Collect sources, 3d < chapters
draft: First draft
  first-half: Write the first half, 10d < sources
  second-half: Write the second half, 10d < first-half
  illustrations: Make figures, 3d < first-half
revised: Revised
  readers: Give it to first readers, 1d < second-half
  revise: Revise it, 5d < readers
  edit: Have it edited, 3d < revise
published: Published
  layout: Lay it out, 3d < edit, illustrations
  publish: Publish it, 1d < layout
"""
_MOVE = """
planned: Planned
  list: List what moves and what goes, 1d
  quotes: Get quotes and book movers, 1d < list
  notices: Give notice and tell everybody, 1d
packed: Packed
  sort: Sort out and give away, 2d < list
  pack: Pack and label the boxes, 3d < sort
  utilities: Arrange power, internet and post, 1d < notices
moved: Moved in
  moving-day: Moving day, 1d < quotes, pack
  set-up: Set up what is needed first, 2d < moving-day, utilities
  hand-back: Clean and hand back the old place, 1d < moving-day
"""
_GENERIC = """
agreed: Plan agreed
  goal: Agree on the goal and when it is reached, 1d
  outline: Outline the work and who is needed, 1d < goal
  risks: Note what could go wrong, 4h < outline
halfway: First half done
  prepare: Prepare what is needed, 2d < outline
  first-part: Do the first part, 4d < prepare, risks
  feedback: Show it and collect feedback, 1d < first-part
done: Done
  second-part: Do the second part, 4d < feedback
  check: Check the result against the goal, 1d < second-part
  hand-over: Hand it over and note what was learned, 1d < check
"""

GENERIC: Final = _template("a project", "", _GENERIC)
TEMPLATES: Final[tuple[Template, ...]] = (
    _template(
        "a mobile app",
        "mobile app, app, mobile, ios, android, iphone, ipad, handy, mobil, movil,"
        " aplicacion movil, application mobile, smartphone",
        _MOBILE_APP,
    ),
    _template(
        "a website",
        "website, web site, site, homepage, landing page, blog, shop, webseite,"
        " internetseite, web, webshop, site web, sitio, sitio web, pagina, portfolio,"
        " redesign, relaunch",
        _WEBSITE,
    ),
    _template(
        "a migration",
        "migrate, migration, migrating, move to, switch to, upgrade, port, umzug,"
        " migrieren, umstellung, umstieg, migrer, migracion, migrar, cutover, replatform,"
        " ablosung",
        _MIGRATION,
    ),
    _template(
        "an event",
        "event, conference, meetup, workshop, offsite, party, wedding, hackathon, summit,"
        " webinar, konferenz, veranstaltung, tagung, feier, hochzeit, evenement, fete,"
        " seminaire, evento, conferencia, boda, fiesta, fair, exhibition, retreat",
        _EVENT,
    ),
    _template(
        "a campaign",
        "campaign, marketing, advertising, newsletter, kampagne, werbung, campagne,"
        " publicite, campana, publicidad, seo",
        _CAMPAIGN,
    ),
    _template(
        "a launch",
        "launch, launching, rollout, roll out, release, go to market, markteinfuhrung,"
        " einfuhrung, lancement, lancer, lanzamiento, lanzar, product launch",
        _LAUNCH,
    ),
    _template(
        "research",
        "research, study, survey, thesis, analysis, experiment, investigation, interviews,"
        " studie, forschung, umfrage, untersuchung, recherche, etude, enquete,"
        " investigacion, estudio, encuesta, dissertation, evaluate, evaluation",
        _RESEARCH,
    ),
    _template(
        "hiring",
        "hire, hiring, recruit, recruiting, recruitment, candidate, einstellung,"
        " einstellen, recruter, recrutement, embauche, contratar, contratacion, seleccion,"
        " onboarding",
        _HIRING,
    ),
    _template(
        "a course",
        "course, training, tutorial, curriculum, class, lessons, kurs, schulung, lehrgang,"
        " cours, formation, curso, formacion, taller, bootcamp",
        _COURSE,
    ),
    _template(
        "a book",
        "book, guide, handbook, manual, novel, whitepaper, buch, handbuch, roman, livre,"
        " manuel, libro, ebook, report",
        _BOOK,
    ),
    _template(
        "a move",
        "moving, relocation, relocate, office move, move house, new office, new flat,"
        " buroumzug, demenagement, demenager, mudanza, mudarse",
        _MOVE,
    ),
    _template(
        "software",
        "software, service, api, backend, tool, dashboard, library, platform, system,"
        " feature, integration, pipeline, bot, cli, plugin, dienst, werkzeug, plattform,"
        " schnittstelle, outil, logiciel, plateforme, servicio, herramienta, plataforma,"
        " billing, payments, search, database, script, prototype, automation",
        _SOFTWARE,
    ),
)
"""In the order in which they are preferred, where a text speaks of several."""
