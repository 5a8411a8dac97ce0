"""`trueup run`, with real remotes, real HTTP and real processes, on the sandbox."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from runner.sandbox._world import TOKENS, Fault, World
from runner.sandbox.gitlab import GitlabStandIn
from runner.sandbox.server import Sandbox
from tests.e2e.replica import SECRETS, TOKEN, Remote, Replica, replica
from tests.e2e.shell import Shell

SPECS = """\
kind: People
people: {me: {name: Me, email: me@example.com, gitlab: jwp763}}
---
kind: Integrations
linear: {enabled: true, team: MOB}
gitlab: {enabled: true, project: jwp763/mobile-app}
---
kind: Settings
policy: {drift: revert}
---
kind: Project
key: app
name: Mobile app
tasks:
  stack: {title: Pick the stack}
  ship: {title: "Ship it %d", depends_on: [stack]}
"""
PUSH = {"object_kind": "push", "ref": "refs/heads/main"}


@pytest.fixture
def remote(shell: Shell, sandbox: Sandbox, tmp_path: Path) -> Remote:
    made = Remote.make(shell, tmp_path / "specs.git")
    made.push(SPECS % 0)
    return made


def titles(sandbox: Sandbox) -> Counter[str]:
    return Counter(
        f"{platform} {item['title']}"
        for platform, found in sandbox.objects().items()
        for item in found
        if item["marker"] and item["kind"] in {"issue", "task"}
    )


def wanted(number: int) -> Counter[str]:
    names = ("Pick the stack", f"Ship it {number}")
    return Counter(f"{platform} {name}" for platform in ("linear", "gitlab") for name in names)


def once(shell: Shell, *arguments: str) -> dict[str, object]:
    result = shell.trueup("run", "--once", "--json", *arguments)
    turn = result.json()
    assert result.code == (1 if turn["ending"] == "failed" else 0)
    return turn


def test_a_turn_clones_applies_and_follows_its_branch(
    remote: Remote, sandbox: Sandbox, tmp_path: Path
) -> None:
    shell = remote.clone(tmp_path / "clone")
    turn = once(shell, "--repo", str(remote.url))
    assert (turn["ending"], turn["left"], turn["drift"]) == ("done", 0, 0)
    assert turn["counts"] == {"applied": 6}
    assert titles(sandbox) == wanted(0)
    commit = remote.push(SPECS % 1)
    turn = once(shell, "--repo", str(remote.url))
    assert (turn["commit"], turn["counts"]) == (commit, {"applied": 2})
    assert titles(sandbox) == wanted(1)
    assert once(shell)["counts"] == {}


def test_history_that_was_rewritten_is_followed(
    remote: Remote, sandbox: Sandbox, tmp_path: Path
) -> None:
    shell = remote.clone(tmp_path / "clone")
    once(shell, "--repo", str(remote.url))
    remote.push(SPECS % 1)
    once(shell)
    remote.author.git("reset", "--quiet", "--hard", "HEAD~1")
    commit = remote.push(SPECS % 2, "--force")
    assert once(shell)["commit"] == commit
    assert titles(sandbox) == wanted(2)


def test_local_work_is_never_lost(remote: Remote, sandbox: Sandbox, tmp_path: Path) -> None:
    shell = remote.clone(tmp_path / "clone")
    once(shell, "--repo", str(remote.url))
    remote.push(SPECS % 1)
    edits = {
        "specs/app.yaml": SPECS % 7,
        "specs/new.yaml": "kind: Project\nkey: web\nname: Web\n",
    }
    for name, text in edits.items():
        shell.write({name: text})
        turn = once(shell)
        assert "edits that are not committed" in str(turn["error"])
        assert (shell.folder / name).read_text(encoding="utf-8") == text
        shell.git("stash", "push", "--quiet", "--include-untracked", "--", "specs")
    shell.write({"specs/app.yaml": SPECS % 8})
    mine = shell.commit("Mine")
    assert "commits that its remote lacks" in str(once(shell)["error"])
    assert shell.git("rev-parse", "HEAD").strip() == mine
    assert titles(sandbox) == wanted(0)


def test_without_a_remote_the_folder_is_taken_as_it_is(shell: Shell, sandbox: Sandbox) -> None:
    shell.write({"specs/app.yaml": SPECS % 3})
    turn = once(shell)
    assert (turn["ending"], turn["commit"]) == ("done", "")
    assert titles(sandbox) == wanted(3)


def test_what_git_says_is_told_without_the_password(
    remote: Remote, sandbox: Sandbox, tmp_path: Path
) -> None:
    shell = remote.clone(tmp_path / "clone")
    url = f"{sandbox.url('gitlab').replace('//', '//me:glpat-hidden@')}/nobody/nothing.git"
    result = shell.trueup("run", "--once", "--repo", url)
    assert (result.code, "glpat" in result.err + result.out) == (1, False)
    assert "error: cannot clone http://127.0.0.1" in result.err
    shell.write({"file": "of somebody"})
    assert "is not empty, and no clone" in shell.trueup("run", "--repo", str(remote.url)).err


def test_the_token_opens_the_forge_and_nothing_else(
    remote: Remote, sandbox: Sandbox, tmp_path: Path
) -> None:
    url = remote.on_forge(sandbox)
    shell = remote.clone(tmp_path / "clone")
    turn = once(shell, "--repo", url)
    assert turn["counts"] == {"applied": 6}
    assert "glpat" not in (shell.folder / ".git" / "config").read_text(encoding="utf-8")


def test_it_goes_on_by_events_and_tells_how_it_is(
    remote: Remote, sandbox: Sandbox, tmp_path: Path
) -> None:
    shell = remote.clone(tmp_path / "clone")
    with replica(shell, "--repo", str(remote.url)) as running:
        assert running.get("/healthz").status_code == 200
        running.said("done; 6 applied")
        assert running.get("/readyz").text == "ready\n"
        commit = remote.push(SPECS % 1)
        assert running.gitlab(PUSH).status_code == 202
        running.said(f"{commit[:12]}: done; 2 applied")
        assert titles(sandbox) == wanted(1)
        # Somebody edits a ticket; Linear calls, and the specs win.
        issue = next(i for i in sandbox.standins["linear"].objects() if i["title"] == "Ship it 1")
        edit_in_linear(sandbox, str(issue["id"]), "Shipped?")
        assert running.linear({"type": "Issue", "action": "update"}).status_code == 202
        running.until(lambda: titles(sandbox) == wanted(1), "the edit is reverted")
        running.said("done; 1 applied")
        turns = running.metric('trueup_runs_total{ending="done"}')
        assert running.notion({"id": "1", "type": "page.created"}).status_code == 202
        running.until(
            lambda: running.metric('trueup_runs_total{ending="done"}') > turns, "one more turn"
        )
        assert running.metric('trueup_changes_total{status="applied"}') == 9
        assert running.metric('trueup_requests_total{platform="linear"}') > 3
        assert running.metric("trueup_drift_fields") == 0
        assert running.metric("trueup_changes_left") == 0
        assert running.metric("trueup_failures_in_a_row") == 0
        assert time.time() - running.metric("trueup_last_success_timestamp_seconds") < 60
        assert running.metric('trueup_webhooks_total{source="gitlab",result="accepted"}') == 1
        assert running.end() == 0
    log = "\n".join(running.log)
    assert not [secret for secret in (*SECRETS.values(), "glpat") if secret in log]


def edit_in_linear(sandbox: Sandbox, identity: str, title: str) -> None:
    mutation = "mutation($id: String!, $input: IssueUpdateInput!)"
    body = {
        "query": f"{mutation} {{ issueUpdate(id: $id, input: $input) {{ success }} }}",
        "variables": {"id": identity, "input": {"title": title}},
    }
    key = sandbox.environment()["LINEAR_API_KEY"]
    answer = httpx.post(sandbox.url("linear"), json=body, headers={"Authorization": key})
    assert answer.json()["data"]["issueUpdate"]["success"]


def test_what_is_not_genuine_does_nothing(remote: Remote, sandbox: Sandbox, tmp_path: Path) -> None:
    shell = remote.clone(tmp_path / "clone")
    with replica(shell, "--repo", str(remote.url)) as running:
        running.said("done; 6 applied")
        assert running.gitlab(PUSH, **{"X-Gitlab-Token": TOKEN[:-1]}).status_code == 401
        assert running.gitlab("x" * (6 * 1024 * 1024)).status_code == 413
        assert running.gitlab("{").status_code == 400
        assert running.linear({"webhookTimestamp": (time.time() - 90) * 1000}).status_code == 401
        assert httpx.post(f"{running.url}/webhooks/motion", json={}).status_code == 404
        assert running.get("/webhooks/gitlab").status_code == 405
        assert running.gitlab({**PUSH, "ref": "refs/tags/1"}).json() == {"message": "ignored"}
        assert running.metric('trueup_runs_total{ending="done"}') == 1
        assert running.end(signal.SIGINT) == 0


def test_events_together_make_one_turn_and_are_answered_at_once(
    remote: Remote, sandbox: Sandbox, world: World, tmp_path: Path
) -> None:
    shell = remote.clone(tmp_path / "clone")
    with replica(shell, "--repo", str(remote.url)) as running:
        running.said("done; 6 applied")
        remote.push(SPECS % 1)
        slow = Fault("slow", "gitlab", writes=True, seconds=3)
        world.faults.append(slow)
        running.gitlab(PUSH, **{"Idempotency-Key": "first"})
        running.until(lambda: not slow.times, "the apply is under way")
        remote.push(SPECS % 2)
        slowest = 0.0
        for number in range(12):
            began = time.monotonic()
            answer = running.gitlab(PUSH, **{"Idempotency-Key": str(number // 2)})
            slowest = max(slowest, time.monotonic() - began)
            assert answer.status_code == (202 if number % 2 == 0 else 200)
        assert slowest < 5
        running.until(lambda: titles(sandbox) == wanted(2), "the second push is applied")
        running.said("done; 2 applied", 2)
        assert running.metric('trueup_runs_total{ending="done"}') == 3
        assert running.end() == 0


def test_it_finishes_what_is_under_way(
    remote: Remote, sandbox: Sandbox, world: World, tmp_path: Path
) -> None:
    slow = Fault("slow", "gitlab", writes=True, skip=1, seconds=1.5)
    world.faults.append(slow)
    shell = remote.clone(tmp_path / "clone")
    with replica(shell, "--repo", str(remote.url)) as running:
        running.until(lambda: not slow.times, "the apply is under way")
        assert running.end() == 0
    assert "finishing what is under way" in "\n".join(running.log)
    # What was under way is known to be done, and the rest is done by the next.
    assert shell.trueup("state", "check").code == 0
    assert once(shell)["ending"] == "done"
    assert titles(sandbox) == wanted(0)


def test_a_second_signal_ends_it_at_once(
    remote: Remote, sandbox: Sandbox, world: World, tmp_path: Path
) -> None:
    slow = Fault("slow", "gitlab", writes=True, skip=1, seconds=50)
    world.faults.append(slow)
    shell = remote.clone(tmp_path / "clone")
    with replica(shell, "--repo", str(remote.url)) as running:
        running.until(lambda: not slow.times, "the apply is under way")
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        running.said("once more to stop at once")
        running.end()
        assert time.monotonic() - began < 30
    assert once(shell)["ending"] == "done"
    assert titles(sandbox) == wanted(0)


def test_notions_first_call_is_kept_where_only_the_owner_reads_it(
    remote: Remote, sandbox: Sandbox, tmp_path: Path
) -> None:
    shell = remote.clone(tmp_path / "clone")
    with replica(shell, "--repo", str(remote.url), TRUEUP_NOTION_WEBHOOK_TOKEN="") as running:
        hello = {"verification_token": "secret_of_notion"}
        answer = httpx.post(f"{running.url}/webhooks/notion", json=hello)
        assert answer.status_code == 202
        path = shell.folder / ".trueup" / "notion-verification-token"
        assert path.read_text(encoding="utf-8") == "secret_of_notion\n"
        assert path.stat().st_mode & 0o777 == 0o600
        running.said(str(path))
        assert running.end() == 0
    assert "secret_of_notion" not in "\n".join(running.log)


def test_failures_are_told_and_mended_by_a_push(
    remote: Remote, sandbox: Sandbox, tmp_path: Path
) -> None:
    shell = remote.clone(tmp_path / "clone")
    remote.push("kind: Projekt\n")
    with replica(shell, "--repo", str(remote.url)) as running:
        running.said("the specs have 1 error: specs/app.yaml:1:7: `Projekt` is no kind of document")
        answer = running.get("/readyz")
        assert (answer.status_code, "1 turns in a row have failed" in answer.text) == (503, True)
        assert running.get("/healthz").status_code == 200
        assert running.metric('trueup_runs_total{ending="failed"}') == 1
        assert running.metric("trueup_failures_in_a_row") == 1
        remote.push(SPECS % 1)
        running.gitlab(PUSH)
        running.said("done; 6 applied")
        assert running.get("/readyz").status_code == 200
        assert running.end() == 0
    assert titles(sandbox) == wanted(1)


def test_two_replicas_with_one_state_take_turns(
    remote: Remote, sandbox: Sandbox, tmp_path: Path
) -> None:
    settings = f"kind: Settings\nstate: {{path: {tmp_path / 'shared'}}}\npolicy: {{drift: revert}}"
    specs = SPECS.replace("kind: Settings\npolicy: {drift: revert}", settings)
    remote.push(specs % 0)
    first, second = (remote.clone(tmp_path / name) for name in ("first", "second"))
    with (
        replica(first, "--repo", str(remote.url)) as one,
        replica(second, "--repo", str(remote.url)) as two,
    ):
        both = (one, two)
        for running in both:
            running.until(lambda r=running: r.get("/readyz").status_code == 200, "ready")
        assert titles(sandbox) == wanted(0)
        remote.push(specs % 1)
        sandbox.world.traffic.clear()
        threads = [threading.Thread(target=running.gitlab, args=(PUSH,)) for running in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for running in both:
            running.until(lambda: titles(sandbox) == wanted(1), "the push is applied")
            settled(running)
        writes = Counter(e.platform for e in sandbox.world.traffic if changes(e.method, e.body))
        assert writes == {"linear": 1, "gitlab": 1}
        for running in both:
            assert running.metric('trueup_runs_total{ending="failed"}') == 0
            assert running.end() == 0
    assert first.done("plan").out == "nothing to do: the platforms match the specs\n"


def settled(running: Replica) -> None:
    """Return when the last turn found everything done."""
    running.until(
        lambda: running.metric("trueup_changes_left") == 0 and "done;" in running.log[-1], "settled"
    )


def changes(method: str, body: bytes) -> bool:
    return method != "GET" and (not body.startswith(b'{"query": "query'))


def test_a_mention_leads_to_a_draft(remote: Remote, sandbox: Sandbox, tmp_path: Path) -> None:
    url = remote.on_forge(sandbox)
    shell = remote.clone(tmp_path / "clone")
    with replica(shell, "--repo", url, TRUEUP_OFFLINE="1") as running:
        running.said("done; 6 applied")
        assert running.gitlab(note(1, "stranger")).status_code == 202
        running.said("no draft for gitlab-7-note-1")
        api = f"{sandbox.url('gitlab')}/api/v4/projects/jwp763%2Fmobile-app"
        token = {"PRIVATE-TOKEN": TOKENS["gitlab"]}
        there = httpx.post(f"{api}/issues", json={"title": "Wanted"}, headers=token).json()
        within = {"project": {"id": there["project_id"]}, "issue": {"iid": there["iid"]}}
        name = f"gitlab-{there['project_id']}-note-2"
        for _ in range(2):
            # GitLab sends a call again that it takes for lost.
            again = {"Idempotency-Key": secrets.token_hex(8)}
            call = {**note(2, "jwp763"), **within}
            assert running.gitlab(call, **again).status_code == 202
        running.said(f"draft {name} for me: open http")
        running.said(f"answer to {name}: created")
        running.said(f"answer to {name}: unchanged")
        (said,) = httpx.get(f"{api}/issues/{there['iid']}/notes", headers=token).json()
        assert said["body"].startswith(f"<!-- trueup:answer {name} -->\nDrafted: http")
        assert "/merge_requests/1" in said["body"]
        assert running.metric('trueup_drafts_total{result="open"}') == 2
        assert running.metric('trueup_drafts_total{result="refused"}') == 1
        assert running.end() == 0
    standin = sandbox.standins["gitlab"]
    assert isinstance(standin, GitlabStandIn)
    branches = standin.repositories.git("jwp763/mobile-app", "branch", "--list")
    assert sum("trueup/" in line for line in branches.splitlines()) == 1


def note(number: int, username: str) -> dict[str, object]:
    text = '@trueup Add a task "Write the manual" to the project app'
    return {
        "object_kind": "note",
        "user": {"username": username},
        "project": {"id": 7},
        "object_attributes": {"id": number, "note": text, "action": "create"},
    }


def test_without_a_server_it_needs_no_web_framework(
    remote: Remote, sandbox: Sandbox, tmp_path: Path
) -> None:
    shell = remote.clone(tmp_path / "clone")
    taken = shell.trueup("run", "--repo", str(remote.url), "--port", "1", "--host", "192.0.2.1")
    assert (taken.code, "cannot listen on 192.0.2.1:1" in taken.err) == (1, True)
    assert "at least 1" in shell.trueup("run", "--interval", "0").err
