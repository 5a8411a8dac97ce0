"""The yardstick: octoDNS planning as many records from YAML to YAML."""

from __future__ import annotations

import shutil
from pathlib import Path

PER_ZONE = 100


def write_zones(root: Path, records: int) -> None:
    """Write a source and an equal target of `records` records, and the configuration."""
    source, target = root / "source", root / "target"
    source.mkdir(parents=True)
    zones = [f"z{number:05}.example.com." for number in range(-(-records // PER_ZONE))]
    for zone in zones:
        lines = ["---"]
        for i in range(PER_ZONE):
            lines += [f"r{i:03}:", "  ttl: 300", "  type: A", f"  value: 192.0.2.{i % 250 + 1}"]
        (source / f"{zone}yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copytree(source, target)
    config = [
        "---",
        "providers:",
        "  source:",
        "    class: octodns.provider.yaml.YamlProvider",
        f"    directory: {source}",
        "  target:",
        "    class: octodns.provider.yaml.YamlProvider",
        f"    directory: {target}",
        "    supports_root_ns: false",
        "zones:",
    ]
    for zone in zones:
        config += [f"  {zone}:", "    sources: [source]", "    targets: [target]"]
    (root / "config.yaml").write_text("\n".join(config) + "\n", encoding="utf-8")


def change_one(root: Path) -> None:
    """Edit one record of the source."""
    path = root / "source" / "z00000.example.com.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("192.0.2.8", "192.0.2.251", 1), encoding="utf-8")
