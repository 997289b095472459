# The same commands as in the README and in CI; `just` is only a shorter way to type them.

# List the recipes
default:
    @just --list --unsorted

# Format the code
fmt:
    cargo fmt --all

# Formatting, clippy, rustdoc, dependency directions, licences and bans
lint *ARGS:
    cargo xtask lint {{ ARGS }}

# Every test, as CI runs them
test *ARGS:
    cargo xtask test {{ ARGS }}

# Build the documentation of the workspace, private items included, and open it
doc:
    cargo doc --workspace --no-deps --document-private-items --open

# Benchmarks of the engine, then of the whole daemon
bench *ARGS:
    cargo xtask bench {{ ARGS }}

# Build the Python package as a wheel in target/wheels/
wheel *ARGS:
    cargo xtask wheel {{ ARGS }}

# Play a few games with the model that ships in the repository
demo *ARGS:
    cargo xtask demo {{ ARGS }}

# What continuous integration runs
ci:
    bash .ci/run
