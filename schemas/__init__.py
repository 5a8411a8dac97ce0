"""The words that everyone shares; imports nothing of ours and does no I/O.

`schemas.domain` has the values (Resource, Binding, Change, Plan, Outcome, Diagnostic),
`schemas.errors` the error tree, `schemas.spec` the pydantic models of a YAML document, and
`schemas.tables` the Delta tables and their migrations. Each is imported by its own name, since
`trueup --help` has no need of pydantic.
"""
