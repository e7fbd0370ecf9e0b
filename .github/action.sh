#!/usr/bin/env bash
# What the action runs: gets the program unless there is one, soaks, and makes the file for code scanning. All that it is given, and all
# that it gives, is in variables and files, so that tests run it as GitHub does.
set -euo pipefail

program=$DLSOAK_PROGRAM
if [[ -z $program ]]; then
    # The release that belongs to the commit of the action.
    version=$(sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' "$GITHUB_ACTION_PATH/Cargo.toml")
    mkdir -p "$RUNNER_TEMP/dlsoak"
    cd "$RUNNER_TEMP/dlsoak"
    curl -fsSL --retry 3 -O "$DLSOAK_RELEASES/v$version/SHA256SUMS"
    grep -- "-$(uname -m)-unknown-linux-[a-z]*\.tar\.gz\$" SHA256SUMS > sum
    archive=$(cut -d ' ' -f 3 sum)
    curl -fsSL --retry 3 -O "$DLSOAK_RELEASES/v$version/$archive"
    sha256sum --check --quiet sum
    tar -xzf "$archive" --strip-components=1
    program=$PWD/bin/dlsoak
    cd "$OLDPWD"
fi

# Split as a shell splits words, but nothing in them is run.
mapfile -d '' arguments < <(xargs -r printf '%s\0' <<< "$DLSOAK_ARGS")

code=0
"$program" run "${arguments[@]}" --out "$DLSOAK_OUT" || code=$?
if [[ -e $DLSOAK_OUT/record.json ]]; then
    "$program" report "$DLSOAK_OUT/record.json" --to sarif
    printf '%s=%s\n' out "$PWD/$DLSOAK_OUT" >> "$GITHUB_OUTPUT"
fi
exit "$code"
