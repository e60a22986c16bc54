#!/bin/sh
# Install the system packages that are missing for the purposes named as arguments:
#   build     a C compiler, Python headers and venv, GSL
#   page      a headless browser, for the test that opens the report
#   valgrind  valgrind, for `make sanitize`
# On Debian-like machines by apt, with sudo when not root; elsewhere it stops and names the packages.
# PYTHON names the interpreter (default python3).
set -eu
python=${PYTHON:-python3}
missing=

need() { # need PACKAGE COMMAND...: PACKAGE is missing if the command fails
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

have_browser() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

python_headers() {
    "$python" -c 'import os, sysconfig as s; os.stat(os.path.join(s.get_paths()["include"], "Python.h"))'
}

gsl() {
    [ -n "${DELPHI_GSL_PREFIX:-}" ] || pkg-config --exists gsl || gsl-config --version
}

for purpose in "$@"; do
    case $purpose in
    build)
        need gcc cc --version
        need libc6-dev sh -c 'echo "#include <stdlib.h>" | cc -E -'
        need python3 "$python" --version
        need python3-venv "$python" -c 'import ensurepip, venv'
        need python3-dev python_headers
        need pkg-config pkg-config --version
        need libgsl-dev gsl
        ;;
    page) need chromium have_browser ;;
    valgrind) need valgrind valgrind --version ;;
    *)
        echo "$0: unknown purpose '$purpose' (build, page, valgrind)" >&2
        exit 2
        ;;
    esac
done

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null; then
        echo "delphi needs these packages, here under their Debian names:$missing" >&2
        echo "Install them with your system's package manager and run make again." >&2
        exit 1
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "neither root nor sudo: ask for the packages$missing" >&2
            exit 1
        }
        as_root=sudo
    fi
    echo "installing:$missing"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words is what it is
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing \
        >/dev/null
fi

"$python" - <<'END'
import sys

if sys.version_info < (3, 11):
    sys.exit(f"delphi needs Python 3.11 or later, this is {sys.version.split()[0]}: set PYTHON=...")
END
