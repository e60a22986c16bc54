"""Build of the one extension module, delphi._core. Everything else stands in pyproject.toml.

Switches, each set to anything but "" or "0": DELPHI_SANITIZE (ASan and UBSan), DELPHI_COVERAGE
(gcov), DELPHI_DEBUG (-O0 -g), DELPHI_WERROR. DELPHI_GSL_PREFIX points at a GSL outside the usual
places.
"""

import os
import shlex
import subprocess
from pathlib import Path

import numpy
from setuptools import Extension, setup

NO_GSL = """
delphi needs the GNU Scientific Library (GSL) with its headers to build, and did not find it.
Install it with one of

    apt install libgsl-dev        (Debian, Ubuntu)
    dnf install gsl-devel         (Fedora, RHEL)
    brew install gsl              (macOS)
    conda install -c conda-forge gsl

or point DELPHI_GSL_PREFIX at the folder that holds include/gsl and lib.
"""


def on(switch: str) -> bool:
    return os.environ.get(switch, "") not in ("", "0")


def ask(*command: str) -> list[str] | None:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return shlex.split(done.stdout)


def find_gsl() -> dict[str, list[str]]:
    """Include and library folders and libraries of GSL: by prefix, by pkg-config, by gsl-config."""
    prefix = os.environ.get("DELPHI_GSL_PREFIX")
    if prefix:
        if not (Path(prefix) / "include" / "gsl" / "gsl_min.h").is_file():
            raise SystemExit(f"DELPHI_GSL_PREFIX={prefix}: no gsl headers there\n{NO_GSL}")
        flags = [f"-I{prefix}/include", f"-L{prefix}/lib", "-lgsl", "-lgslcblas", "-lm"]
    else:
        found = ask("pkg-config", "--cflags", "--libs", "gsl") or ask(
            "gsl-config", "--cflags", "--libs"
        )
        if found is None:
            raise SystemExit(NO_GSL)
        flags = found
    library_dirs = [f[2:] for f in flags if f.startswith("-L")]
    return {
        "include_dirs": [f[2:] for f in flags if f.startswith("-I")],
        "library_dirs": library_dirs,
        "runtime_library_dirs": library_dirs if prefix else [],
        "libraries": [f[2:] for f in flags if f.startswith("-l")],
    }


def compile_args() -> list[str]:
    # NumPy's headers are not ours to mend: as system headers they raise no warnings here.
    args = ["-isystem", numpy.get_include()]
    args += ["-std=c11", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno", "-pthread"]
    args += ["-O0", "-g"] if on("DELPHI_DEBUG") else ["-O3"]
    args += ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wvla"]
    args += ["-Wno-psabi"]  # lanes.h: no vector crosses a call
    if on("DELPHI_WERROR"):
        args += ["-Werror"]
    if on("DELPHI_SANITIZE"):
        args += ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        args += ["-fno-omit-frame-pointer", "-DDPH_SANITIZED"]
    if on("DELPHI_COVERAGE"):
        args += ["-O0", "-g", "--coverage"]
    return args


def link_args() -> list[str]:
    args = ["-pthread"]
    if on("DELPHI_SANITIZE"):
        args += ["-fsanitize=address,undefined"]
    if on("DELPHI_COVERAGE"):
        args += ["--coverage"]
    return args


gsl = find_gsl()
setup(
    ext_modules=[
        Extension(
            "delphi._core",
            sources=sorted(str(p) for p in Path("csrc").glob("*/*.c")),
            depends=sorted(str(p) for p in Path("csrc").glob("*/*.h")),
            include_dirs=["csrc", *gsl["include_dirs"]],
            library_dirs=gsl["library_dirs"],
            runtime_library_dirs=gsl["runtime_library_dirs"],
            libraries=gsl["libraries"],
            extra_compile_args=compile_args(),
            extra_link_args=link_args(),
        )
    ],
)
