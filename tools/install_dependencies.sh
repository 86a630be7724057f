#!/usr/bin/env bash
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs the Debian packages that are missing, and nothing else.
#
#   tools/install_dependencies.sh            what the library, the examples and the demo need
#   tools/install_dependencies.sh test       and what `make test` needs on top
#   tools/install_dependencies.sh full       and what `make test-full` needs on top
set -euo pipefail

group=${1:-build}
required=(g++ cmake make libxtensor-dev libxsimd-dev libcereal-dev libasio-dev libcli11-dev nlohmann-json3-dev)
wanted=(ninja-build ccache python3 libtbb-dev libturbojpeg0-dev libpng-dev libzip-dev libtomlplusplus-dev catch2)
case $group in
    build) ;;
    test | full)
        required+=(catch2 python3)
        wanted+=(clang-14 clang libclang-rt-14-dev python3-torch python3-torchvision python3-numpy python3-pil
            libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc chromium)
        [ "$group" = full ] && wanted+=(g++-aarch64-linux-gnu qemu-user-static clang-tidy clang-format)
        ;;
    -h | --help)
        sed -n '5,9s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        echo "install_dependencies: unknown group '$group'; it is build, test or full" >&2
        exit 2
        ;;
esac

# has COMMAND: on systems without dpkg the tools themselves are asked for; headers are CMake's to find.
has() { command -v "$1" > /dev/null 2>&1; }

if ! has dpkg-query || ! has apt-get; then
    if has cmake && { has g++ || has clang++; }; then
        echo "install_dependencies: this is not Debian or a relative of it; CMake will say what is missing." >&2
        exit 0
    fi
    echo "install_dependencies: this script knows Debian's packages only. Please install what corresponds to: ${required[*]} ${wanted[*]}" >&2
    exit 1
fi

missing_of() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null || true)" = installed ] || echo "$package"
    done | sort -u
}

mapfile -t missing < <(missing_of "${required[@]}" "${wanted[@]}")
[ ${#missing[@]} -eq 0 ] && exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
    if has sudo && { sudo -n true 2> /dev/null || [ -t 0 ]; }; then
        root=(sudo)
    else
        root=(false)
    fi
fi

if [ "${root[*]:-}" != false ]; then
    echo "Installing missing packages: ${missing[*]}"
    installed=no
    if "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null; then
        installed=yes
    fi
    [ $installed = no ] && echo "install_dependencies: apt-get failed, see above." >&2
else
    echo "install_dependencies: not root and no sudo, so nothing can be installed here." >&2
fi

mapfile -t missing < <(missing_of "${required[@]}")
if [ ${#missing[@]} -gt 0 ]; then
    echo "install_dependencies: cannot go on without: ${missing[*]}" >&2
    echo "Please have an administrator run: apt-get install ${missing[*]}" >&2
    exit 1
fi
mapfile -t missing < <(missing_of "${wanted[@]}")
[ ${#missing[@]} -gt 0 ] && echo "install_dependencies: going on without: ${missing[*]} (what needs them is left out and said so)" >&2
exit 0
