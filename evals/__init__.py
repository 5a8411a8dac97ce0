"""How good are drafts? Requests over real-looking spec repos, scored by code: `make eval`.

`cases.yaml` holds the requests and what is expected of each; `verifiers` are the expectations;
`contenders` are those who draft. See docs/evaluation.md.
"""
