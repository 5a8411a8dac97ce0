"""A Spark session that can keep Delta tables: a notebook's own, a remote one, or one made here."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import urlsplit

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.catalog import Catalog
    from pyspark.sql.conf import RuntimeConfig

JARS = tuple(
    f"io.delta_{name}-4.4.0.jar"
    for name in (
        "delta-spark_4.2_2.13",
        "delta-storage",
        "delta-kernel-api",
        "delta-kernel-defaults",
        "delta-kernel-unitycatalog",
    )
)
"""What Delta needs on the class path beside Spark's own jars, as Ivy calls the files."""

SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.variable.substitute": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
    "spark.databricks.delta.autoCompact.enabled": "true",
    "spark.databricks.delta.merge.materializeSource": "none",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
"""For small commits on one machine: no server, one shuffle, and no code compiled for a query, which
takes longer than to run it (a fenced MERGE: 1.9 s of processor time instead of 4.2). No checksums
beside the files either, neither Hadoop's, for each of which `chmod` is called, nor Delta's, which
delta-rs does not write and a small log does not need."""

_QUIET = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %p %c{1}: %m%n
"""

_JAVA = (
    "install a JDK, 17 or newer (Debian: apt-get install openjdk-17-jdk-headless; any system:"
    " pip install install-jdk, then python -m jdk install 17), and set JAVA_HOME to it"
)


_FOLDER = (
    "name a folder with `state: {path: ...}`, or a Spark that has a catalog with SPARK_REMOTE;"
    " for Unity Catalog use the backend databricks"
)


class Session(Protocol):
    """What the backend uses of a `SparkSession`, whichever of the two classes it is."""

    @property
    def catalog(self) -> Catalog:
        """Knows the temporary views."""
        ...

    @property
    def conf(self) -> RuntimeConfig:
        """The settings of the session."""
        ...

    def sql(self, sqlQuery: str) -> DataFrame:  # noqa: N803
        """Run a statement, or return the rows of a query once they are asked for."""
        ...

    def createDataFrame(  # noqa: N802
        self,
        data: Iterable[Sequence[object]],
        schema: str,
        *,
        verifySchema: bool = True,  # noqa: N803
    ) -> DataFrame:
        """Return rows as a frame."""
        ...


def open_session(variable: Callable[[str], str]) -> Session:
    """Return the session of `SPARK_REMOTE`, else the one that is there, else a local one.

    Args:
        variable: returns an environment variable, or an empty string.

    Raises:
        ConfigError: Spark or Java is not installed, or the session does not come up.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ConfigError(
            "the state backend `spark` needs Spark, which is not installed",
            hint="pip install 'trueup[spark]'",
        ) from error
    remote = variable("SPARK_REMOTE")
    if not remote:
        active = cast("Session | None", SparkSession.getActiveSession())
        if active is None and variable("DATABRICKS_RUNTIME_VERSION"):
            return cast("Session", SparkSession.builder.getOrCreate())
        return active or _local(variable("TRUEUP_SPARK_JARS"))
    _knock(remote)
    try:
        return cast("Session", SparkSession.builder.remote(remote).getOrCreate())
    except ImportError as error:
        raise ConfigError(
            f"SPARK_REMOTE needs Spark's own client: {error}",
            hint="pip install 'pyspark[connect]==4.2.0'",
        ) from error
    except PySparkException as error:
        raise ConfigError(
            f"the Spark at SPARK_REMOTE does not answer: {_first_line(str(error))}",
            hint="check the address, sc://host:port, and that the server runs",
        ) from error


def _knock(remote: str) -> None:
    """Raise where nobody listens; Spark's client would go on trying for ten minutes."""
    parts = urlsplit(remote)
    try:
        address = (parts.hostname or "", parts.port or 15002)
        with socket.create_connection(address, timeout=30):
            return
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the Spark at SPARK_REMOTE does not answer: {error}",
            hint="check the address, sc://host:port, and that the server runs",
        ) from error


def check_schema(session: Session, name: str) -> None:
    """Raise where a session cannot have a schema, or would forget it when it ends.

    Args:
        session: a local one keeps its own catalog in memory only.
        name: `schema`, or `catalog.schema`.

    Raises:
        ConfigError: says where the tables can be instead.
    """
    if session.conf.get("spark.sql.catalogImplementation", "") != "in-memory":
        return
    catalog = name.rpartition(".")[0] or "spark_catalog"
    if catalog == "spark_catalog":
        raise ConfigError(
            f"this Spark session forgets the schema `{name}` when it ends, and the state with it",
            hint=_FOLDER,
        )
    if not session.conf.get(f"spark.sql.catalog.{catalog}", ""):
        raise ConfigError(f"this Spark session has no catalog `{catalog}`", hint=_FOLDER)


@functools.cache
def _local(jars: str) -> Session:
    """Return a session in a Java machine of its own, which ends with this process.

    What that machine says on standard error goes to a file, of which the last words are shown if
    it does not come up.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    _check_java()
    folder = Path(tempfile.mkdtemp(prefix="trueup-spark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    quiet, said = folder / "log4j2.properties", folder / "stderr.txt"
    quiet.write_text(_QUIET, encoding="ascii")
    builder = SparkSession.builder.master("local[2]").appName("trueup")
    options = {
        **SETTINGS,
        **_class_path(jars),
        "spark.sql.warehouse.dir": (folder / "warehouse").as_uri(),
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
        f" -Dlog4j2.configurationFile={quiet.as_uri()} -Dderby.system.home={folder}",
    }
    for name, value in options.items():
        builder = builder.config(name, value)
    try:
        with _standard_error(said):
            return cast("Session", builder.getOrCreate())
    except (PySparkException, Py4JError, OSError) as error:
        words = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        telling = [line.strip() for line in words if "Exception" in line or "rror" in line]
        raise ConfigError(
            f"Spark does not start: {(telling or [_first_line(str(error))])[0]}",
            hint="where Maven Central cannot be reached, set TRUEUP_SPARK_JARS to the folder of"
            f" {', '.join(name.removeprefix('io.delta_') for name in JARS)}",
        ) from error


def _class_path(jars: str) -> dict[str, str]:
    """Return the options that name Delta's jars: those given, those fetched before, or Maven's."""
    if jars:
        paths = [path for item in jars.split(",") for path in _jars_at(Path(item.strip()))]
        return {"spark.jars": ",".join(map(str, paths))}
    fetched = [Path.home() / ".ivy2.5.2" / "jars" / name for name in JARS]
    if all(path.is_file() for path in fetched):
        return {"spark.jars": ",".join(map(str, fetched))}
    return {"spark.jars.packages": "io.delta:delta-spark_4.2_2.13:4.4.0"}


def _jars_at(path: Path) -> list[Path]:
    found = sorted(path.glob("*.jar")) if path.is_dir() else [path]
    if not found or not all(item.is_file() for item in found):
        raise ConfigError(
            f"TRUEUP_SPARK_JARS: there are no jars at {path}",
            hint="name a folder, or jars with commas between them",
        )
    return found


def _check_java() -> None:
    """Raise where there is no Java that Spark can use.

    Raises:
        ConfigError: says what was found and what to install.
    """
    home = os.environ.get("JAVA_HOME", "")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not java or not Path(java).is_file():
        where = f"in JAVA_HOME ({home})" if home else "on the PATH, and JAVA_HOME is not set"
        raise ConfigError(f"Spark needs Java, and there is none {where}", hint=_JAVA)
    # Spark 4.2 asks for this module, which the small Java machines inside wheels lack.
    asked = [java, "--add-modules", "jdk.incubator.vector", "-version"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    if done.returncode:
        said = _first_line(done.stderr or done.stdout)
        raise ConfigError(f"Spark cannot use the Java at {java}: {said}", hint=_JAVA)


@contextlib.contextmanager
def _standard_error(path: Path) -> Generator[None]:
    """Let child processes that start meanwhile write their standard error to a file."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with path.open("wb") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _first_line(words: str) -> str:
    return words.strip().split("\n", 1)[0]
