"""Loads games as the trainer does, with real numpy, and checks what its training relies on.

One request per line on standard input, one answer per line on standard output, both JSON objects.
"""

import json
import sys

import numpy as np


def load(path):
    """All arrays as the trainer gets them."""
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def td(game, z_first, h):
    """TD(lambda) targets of all plies, mover's view; z_first: 1, 0 or -1, the result for the first player."""
    q, kinds = game["all_root_values"], game["all_kinds"]
    target, after = np.empty(len(q), np.float32), None
    for ply in reversed(range(len(q))):
        z = z_first if ply % 2 == 0 else -z_first
        # A ply without a search has no value of its own.
        after = z if after is None else -after if kinds[ply] in (0, 3) else (1 - h) * -after + h * q[ply]
        target[ply] = after
    return target  # of the rows: target[np.flatnonzero(game["all_flags"] & 1)]


def check_value_targets(game, outcome, rows):
    """The formulas of docs/formats.md."""
    assert (td(game, outcome, 0)[rows] == game["values"]).all(), "TD with h = 0 is not the result"
    searched = np.isin(game["all_kinds"][:-1], [1, 2])
    assert (td(game, outcome, 1)[:-1][searched] == game["all_root_values"][:-1][searched]).all(), "TD with h = 1 is not the search's value"
    truth = np.where(np.arange(len(game["all_kinds"])) % 2 == 0, outcome, -outcome).astype(np.float32)
    told = td(dict(game, all_root_values=truth), outcome, 0.25)
    assert (told == truth).all(), "TD of values that are the result is not the result"


def check(game, request):
    """Raises AssertionError with what is wrong."""
    plies, actions = request["game_length"], request["actions"]
    played = len(game["all_actions"])
    layout = {
        "input_arrays": ("<f4", (plies, *request["input_shape"])),
        "policies": ("<f4", (plies, actions)),
        "action_masks": ("<f4", (plies, actions)),
        "values": ("<f4", (plies,)),
        "players": ("<i4", (plies,)),
        "actions": ("<i4", (plies,)),
        "root_values": ("<f4", (plies,)),
        "visit_counts": ("<i4", (plies, actions)),
        "model_versions": ("<i8", (plies,)),
        "weights": ("<f4", (plies,)),
        "all_actions": ("<i4", (played,)),
        "all_kinds": ("|u1", (played,)),
        "all_flags": ("|u1", (played,)),
        "all_simulations": ("<i4", (played,)),
        "all_root_values": ("<f4", (played,)),
        "all_raw_values": ("<f4", (played,)),
        "all_best_values": ("<f4", (played,)),
        "all_played_values": ("<f4", (played,)),
        "all_divergences": ("<f4", (played,)),
        "all_model_versions": ("<i8", (played,)),
    }
    may_be_unknown = {"root_draws", "all_root_draws", "all_raw_values", "all_best_values", "all_played_values", "all_divergences"}
    if request["draws"]:
        layout["root_draws"] = ("<f4", (plies,))
        layout["all_root_draws"] = ("<f4", (played,))
    assert set(game) == set(layout), f"arrays are {sorted(game)}"
    for name, (dtype, shape) in layout.items():
        array = game[name]
        assert array.dtype == np.dtype(dtype), f"{name} is {array.dtype}"
        assert array.shape == shape, f"{name} has shape {array.shape}, not {shape}"
        assert array.flags.c_contiguous, f"{name} is not in C order"
        finite = np.isfinite(array) | (np.isnan(array) if name in may_be_unknown else False)
        assert finite.all(), f"{name} is not finite"

    assert plies > 0, "no plies"
    masks, policies, visits = game["action_masks"], game["policies"], game["visit_counts"]
    assert np.isin(masks, [0, 1]).all(), "a mask is neither 0 nor 1"
    assert (masks.sum(axis=1) > 0).all(), "a position without legal actions"
    assert (policies >= 0).all(), "a negative share"
    assert np.allclose(policies.sum(axis=1), 1, rtol=0, atol=1e-5), f"policies sum to {policies.sum(axis=1)}"
    assert (policies[masks == 0] == 0).all(), "an illegal action has a share"

    rows = np.flatnonzero(game["all_flags"] & 1)
    assert (game["players"] == rows % 2).all(), "players do not alternate"
    for name in ["actions", "root_values", "model_versions"]:
        assert (game[name] == game["all_" + name][rows]).all(), f"{name} and all_{name} differ"
    assert (game["weights"] > 0).all(), "a row without weight"
    assert np.isin(game["all_kinds"], [0, 1, 2, 3]).all() and (game["all_flags"] < 16).all(), "an unknown kind or flag"
    for name in ["raw", "best", "played"]:
        values = game[f"all_{name}_values"]
        assert (np.abs(values[~np.isnan(values)]) <= 1).all(), f"a {name} value beyond a win"
    divergences = game["all_divergences"]
    assert (divergences[~np.isnan(divergences)] >= 0).all(), "a negative divergence"
    outcome = {"first": 1, "second": -1, "draw": 0}[request["result"]]
    expected = np.where(game["players"] == 0, outcome, -outcome)
    assert (game["values"] == expected).all(), f"values {game['values']} of result {request['result']}"
    check_value_targets(game, outcome, rows)

    assert (np.abs(game["root_values"]) <= 1).all(), "a root value beyond a win"
    if request["draws"]:
        draws = game["root_draws"]
        known = draws[~np.isnan(draws)]
        assert known.size and (known >= 0).all() and (known <= 1).all(), f"draws {draws}"
        # What is neither won nor lost is drawn; the value is what is to be expected of the rest.
        assert (np.abs(game["root_values"]) <= 1 - draws + 1e-5)[~np.isnan(draws)].all(), "value and draw do not fit"
    assert (visits >= 0).all() and (visits[masks == 0] == 0).all(), "visits of illegal actions"
    searched = visits.sum(axis=1) > 0
    shares = visits[searched] / visits[searched].sum(axis=1, keepdims=True)
    assert np.allclose(policies[searched], shares, rtol=0, atol=1e-5), "policies are not the visits' shares"


def main():
    print(json.dumps({"numpy": np.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            game = load(request["npz"])
            check(game, request)
            answer = {"model_versions": game["model_versions"].tolist(), "searched": int((game["visit_counts"].sum(axis=1) > 0).sum())}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
