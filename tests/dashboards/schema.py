"""Reads a dashboard with Grafana's own types, writes it again, and tells what got lost: keys that Grafana does not know."""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(before, after, place):
    """What `before` holds and `after` does not, as texts."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{place}.{key}")
            else:
                yield f"{place}.{key}: unknown"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (value, other) in enumerate(zip(before, after)):
            yield from lost(value, other, f"{place}[{index}]")
    elif before != after:
        yield f"{place}: {before!r} is read as {after!r}"


def main():
    # So that the options and queries of each kind of panel are read by their own types.
    register_default_plugins()
    with open(sys.argv[1], encoding="utf-8") as file:
        before = json.load(file)
    after = json.loads(JSONEncoder().encode(Dashboard.from_json(before)))
    mistakes = list(lost(before, after, "dashboard"))
    print("\n".join(mistakes))
    print(len(after["panels"]), "panels read")
    sys.exit(1 if mistakes else 0)


main()
