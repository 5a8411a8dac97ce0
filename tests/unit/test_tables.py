from __future__ import annotations

from dataclasses import asdict

import pytest

from schemas.domain import hash_of
from schemas.tables import MIGRATIONS, TABLES, VERSION, Column, Migration, Table, fold

SHIPPED = {
    1: "ec0b3124d31e24bbb602e83cb98a8c1d",
    2: "885b24f3c0cc57d67cd7794bba712301",
    3: "189663a470f9ec1d55f93a3dcc837212",
}
"""Digests of the migrations that were released: these may not change any more."""


def test_there_are_the_nine_tables_of_the_design() -> None:
    assert set(TABLES) == {
        "users",
        "projects",
        "tasks",
        "integrations",
        "bindings",
        "runs",
        "sync_logs",
        "agent_contexts",
        "agent_logs",
    }


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_and_column_says_what_it_is(table: Table) -> None:
    assert table.comment
    assert all(column.comment for column in table.columns)
    assert len(set(table.names)) == len(table.names)
    assert set(table.key) <= set(table.names)


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, VERSION + 1))


@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda migration: str(migration.version))
def test_a_migration_that_shipped_is_never_edited(migration: Migration) -> None:
    assert hash_of(asdict(migration)) == SHIPPED[migration.version]


def test_a_later_migration_adds_columns_and_tables() -> None:
    note = Column("note", "STRING", "more")
    extra = Migration(VERSION + 1, columns=(("users", note),))
    assert fold([*MIGRATIONS, extra])["users"].columns == (*TABLES["users"].columns, note)


@pytest.mark.parametrize(
    "extra",
    [
        Migration(VERSION + 2),
        Migration(VERSION + 1, tables=(TABLES["users"],)),
        Migration(VERSION + 1, columns=(("users", TABLES["users"].columns[0]),)),
    ],
    ids=["gap", "same table", "same column"],
)
def test_a_migration_that_does_not_fit_is_refused(extra: Migration) -> None:
    with pytest.raises(ValueError, match="migration"):
        fold([*MIGRATIONS, extra])
