# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The drive's world in Python: examples/drive/world_c.cpp compiled once and called through ctypes."""
import ctypes
import os
import pathlib
import subprocess
import tempfile

import numpy

FRAME_SHAPE = (3, 88, 200)


def build_library(folder=None):
    """Compiles the world into a shared library, if its sources are newer, and returns the library's path."""
    source = pathlib.Path(__file__).resolve().parent.parent / "examples" / "drive"
    folder = pathlib.Path(folder or os.path.join(tempfile.gettempdir(), f"splitdsl-drive-{os.getuid()}"))
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "libdrive_world.so"
    newest = max(f.stat().st_mtime for f in list(source.glob("*.hpp")) + [source / "world_c.cpp"])
    if not library.exists() or library.stat().st_mtime < newest:
        fresh = folder / f"libdrive_world.{os.getpid()}.so"
        compiler = os.environ.get("CXX", "g++")
        built = subprocess.run([compiler, "-std=c++20", "-O2", "-shared", "-fPIC", str(source / "world_c.cpp"), "-o", str(fresh)], check=False)
        if built.returncode != 0:
            raise ValueError(f"{compiler} was expected to compile {source / 'world_c.cpp'}, found status {built.returncode}; what it said stands above")
        fresh.replace(library)
    return library


def load_library():
    lib = ctypes.CDLL(str(build_library()))
    pointer, real = ctypes.c_void_p, ctypes.c_double
    signatures = {
        "new": (pointer, [ctypes.c_uint64]), "delete": (None, [pointer]),
        "render": (None, [pointer, ctypes.c_void_p]), "step": (None, [pointer] + [ctypes.c_float] * 3),
        "expert": (None, [pointer, ctypes.c_void_p]), "place": (None, [pointer] + [real] * 4), "recover": (None, [pointer]),
        "speed": (real, [pointer]), "command": (ctypes.c_int, [pointer]), "deviation": (real, [pointer]),
        "off_road": (ctypes.c_int, [pointer]), "along": (real, [pointer]), "time": (real, [pointer]),
        "set_time": (None, [pointer, real]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, "drive_world_" + name)
        function.restype, function.argtypes = result, arguments
    return lib


class World:
    """One seeded drive; mirrors drive::world."""

    library = None

    def __init__(self, seed):
        if World.library is None:
            World.library = load_library()
        self.lib = World.library
        self.handle = self.lib.drive_world_new(seed)

    def __del__(self):
        if getattr(self, "handle", None):
            self.lib.drive_world_delete(self.handle)

    def render(self, out=None):
        frame = numpy.empty(FRAME_SHAPE, numpy.uint8) if out is None else out
        assert frame.shape == FRAME_SHAPE and frame.dtype == numpy.uint8 and frame.flags.c_contiguous
        self.lib.drive_world_render(self.handle, frame.ctypes.data)
        return frame

    def step(self, steer, throttle, brake):
        self.lib.drive_world_step(self.handle, float(steer), float(throttle), float(brake))

    def expert(self):
        controls = numpy.empty(3, numpy.float32)
        self.lib.drive_world_expert(self.handle, controls.ctypes.data)
        return controls

    def place(self, along, left, heading, speed):
        self.lib.drive_world_place(self.handle, along, left, heading, speed)

    def recover(self):
        self.lib.drive_world_recover(self.handle)

    def set_time(self, seconds):
        self.lib.drive_world_set_time(self.handle, seconds)

    speed = property(lambda self: self.lib.drive_world_speed(self.handle))
    command = property(lambda self: self.lib.drive_world_command(self.handle))
    deviation = property(lambda self: self.lib.drive_world_deviation(self.handle))
    off_road = property(lambda self: bool(self.lib.drive_world_off_road(self.handle)))
    along = property(lambda self: self.lib.drive_world_along(self.handle))
    time = property(lambda self: self.lib.drive_world_time(self.handle))
