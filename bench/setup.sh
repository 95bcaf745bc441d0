# setup: what quickstart.sh and tests/run.sh share: installing what is missing, building, the Python
# environment. Sourced, not run. On a second call everything here is a quick look and no more.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$ROOT/build}

say() { printf '%s\n' "tare: $*" >&2; }
die() { say "$*"; exit 1; }

# What the program needs to be built and run, as Debian packages.
BUILD_PACKAGES="gcc g++ make cmake libopenblas-openmp-dev libcsv-dev libjansson-dev libutf8proc-dev
                libtomlplusplus-dev"
TEST_PACKAGES="libcriterion-dev"
MPI_PACKAGES="openmpi-bin libopenmpi-dev mpich libmpich-dev" # for rows of several ranks
PYTHON_PACKAGES="python3 python3-venv"
PEER_PACKAGES="python3-dev" # torch.compile compiles against Python's headers

# installed NAME: whether dpkg knows that package as installed.
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install_packages NAME...: those that dpkg does not know as installed. As another user than root, says
# which they are and stops.
install_packages() {
    local missing=() name
    command -v dpkg-query >/dev/null ||
        { say "not a Debian system; needed, under Debian's names:" "$@"; return; }
    for name in "$@"; do
        installed "$name" || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return
    [ "$(id -u)" = 0 ] || die "please install, as root: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
        >"$ROOT/.setup.log" 2>&1 || { tail -n 20 "$ROOT/.setup.log" >&2; die "apt-get failed"; }
    rm -f "$ROOT/.setup.log"
}

# build_tare CMAKE_ARGUMENT...
build_tare() {
    say "building in $BUILD"
    mkdir -p "$BUILD"
    { cmake -S "$ROOT" -B "$BUILD" "$@" && cmake --build "$BUILD" -j "$(nproc)"; } \
        >"$BUILD/build.log" 2>&1 || { tail -n 30 "$BUILD/build.log" >&2; die "the build failed"; }
}

# python_with REQUIREMENTS.txt: makes the project's .venv hold them and sets PYTHON. TARE_PYTHON, where
# set, is used as it is. Returns 1 when they cannot be had.
python_with() {
    if [ -n "${TARE_PYTHON:-}" ]; then
        PYTHON=$TARE_PYTHON
        return
    fi
    PYTHON=$ROOT/.venv/bin/python
    local stamp="$ROOT/.venv/.installed-$(basename "$(dirname "$1")")"
    [ -x "$PYTHON" ] && [ -f "$stamp" ] && cmp -s "$1" "$stamp" && return
    install_packages $PYTHON_PACKAGES
    say "installing the Python packages of ${1#"$ROOT"/} into .venv"
    { [ -x "$PYTHON" ] || python3 -m venv "$ROOT/.venv"; } &&
        "$PYTHON" -m pip install -q --disable-pip-version-check -r "$1" >&2 &&
        cp "$1" "$stamp" || { say "no Python environment for ${1#"$ROOT"/}"; return 1; }
}
