"""The spec language: from the bytes of YAML files to what they ask for.

load      files to documents: `parse` (YAML to values, exactly positioned), `shape` (values to
          the models of `schemas.spec`), `cache` (unchanged files are not parsed again)
check     what no single document shows: `outline` (all of them at a glance), `islands` (who refers
          to whom), `deadline` (can the dates be met) on the calendar of `timeline`
resolve   documents to `Desired`: defaults, references, `occurrences` of recurring work
edit      operations to new text: `book` (documents by key, opened as a `tree` of nodes), `amend`
          (what each operation means, with `fields` and `renames`), `splice` (the least edits, with
          `lines` and `emit`), then load and check again
memory    what the first three need not find out twice; `resources`, worked out when asked for
"""
