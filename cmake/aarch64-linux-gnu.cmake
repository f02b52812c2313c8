# SPDX-License-Identifier: MIT
# Cross build for 64-bit ARM with Debian's compiler:
#
#   tools/bootstrap arm64
#   cmake -S . -B build/arm64 --toolchain cmake/aarch64-linux-gnu.cmake -DMOTE_NET=OFF
#
# Libraries come from Debian's multiarch packages (libjansson-dev:arm64 ...), which lie beside this
# machine's own; with them programs also run here, under qemu-aarch64.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
