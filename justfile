# What CI runs, on one keypress. `just` alone lists the recipes.

default:
    @just --list

# Everything that must be green before a commit.
check: fmt clippy test doc deny

# Is everything formatted?
fmt:
    cargo fmt --check

# Lints, warnings denied.
clippy:
    cargo clippy --all-targets -- -D warnings

# Unit and integration tests, then the examples in the documentation.
test:
    cargo nextest run
    cargo test --doc

# Many cases of the simulation of plans on a disk that fails, loses power and is killed; SEED repeats what a failure has printed.
simulate CASES="100000" SEED="":
    HOLDPOINT_SIM_CASES={{CASES}} HOLDPOINT_SIM_SEED={{SEED}} cargo test --release --test it simulation -- --nocapture

# The documentation builds without a warning.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# Licences, banned crates, sources (and advisories, where the network is there).
deny:
    cargo deny check

# Look at changed snapshots and accept or reject them.
snapshots:
    cargo insta review

# The benchmarks.
bench:
    cargo bench

# Kills the real program at random moments, again and again, without a terminal and (a tenth as often) in one, and says what it has counted.
# About 0.3 s a kill on a quiet machine.
chaos KILLS="10000":
    HOLDPOINT_CHAOS_KILLS={{KILLS}} cargo nextest run --no-capture -E 'test(chaos::)'
