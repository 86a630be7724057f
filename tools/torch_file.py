# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Reads what torch.save wrote, without PyTorch and without running anything the file says.

A .pt file is a pickle, and a pickle may call whatever it likes. This unpickler knows tensors, ordered dictionaries and plain values;
any other name in the file is an error. Both containers are read: the zip archive of PyTorch 1.6 and later, and the older sequence of
pickles. Storages are as large as their bytes in the file, and a tensor never reaches beyond its storage.
"""
import collections
import io
import os
import pickle
import zipfile

import numpy

from bounded_file import open_bounded

MOST_FILE_BYTES = 2 ** 34
MOST_PICKLE_BYTES = 2 ** 27
MOST_VALUES = 2 ** 31
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

KINDS = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "bfloat16", "LongStorage": "<i8",
         "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?"}
DTYPES = {"float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": "bfloat16", "int64": "<i8", "int32": "<i4", "int16": "<i2",
          "int8": "i1", "uint8": "u1", "bool": "?"}


class TorchFileError(Exception):
    """What is wrong with a file, in words a user can act on."""


class Kind:
    """A storage's element type, where the pickle names a storage class."""

    def __init__(self, name):
        self.name = name


class Storage:
    """Elements of one type; legacy files bring the bytes after the pickle that names them."""

    def __init__(self, kind, count):
        self.kind, self.count, self.data = kind, count, None

    def array(self):
        if self.data is None:
            raise TorchFileError("a tensor's data is missing")
        if self.kind == "bfloat16":
            return (numpy.frombuffer(self.data, "<u2", self.count).astype("<u4") << 16).view("<f4")
        return numpy.frombuffer(self.data, self.kind, self.count)

    def size(self):
        return (2 if self.kind == "bfloat16" else numpy.dtype(self.kind).itemsize) * self.count


class Pending:
    """A tensor whose storage may not have been read yet."""

    def __init__(self, storage, offset, size, stride):
        numbers = [offset, *size, *stride]
        if not isinstance(storage, Storage) or not all(isinstance(n, int) and 0 <= n < 2 ** 48 for n in numbers) or len(size) != len(stride) or len(size) > 16:
            raise TorchFileError("a tensor has impossible sizes")
        self.storage, self.offset, self.size, self.stride = storage, offset, tuple(size), tuple(stride)
        count = 1
        for n in size:
            count *= n
        last = offset + sum((n - 1) * s for n, s in zip(size, stride)) if count else offset
        if count > storage.count or (count and last >= storage.count):
            raise TorchFileError(f"a tensor of shape {self.size} reaches beyond its storage of {storage.count} values")

    def array(self):
        flat = self.storage.array()
        view = numpy.lib.stride_tricks.as_strided(flat[self.offset:], self.size, [s * flat.itemsize for s in self.stride], writeable=False)
        return numpy.ascontiguousarray(view).reshape(self.size)


def rebuild_tensor(storage, offset, size, stride, *_):
    return Pending(storage, offset, size, stride)


def rebuild_parameter(data, *_):
    if not isinstance(data, Pending):
        raise TorchFileError("a parameter holds no tensor")
    return data


class Unpickler(pickle._Unpickler):  # the Python one: its memo is a dictionary, so a large index costs nothing
    """Protocol 2, which torch.save writes, and 3 to 5, which it can, with nothing that makes objects or changes them."""

    def __init__(self, stream, storages):
        super().__init__(stream, encoding="utf-8")
        self.storages = storages

    dispatch = {code: action for code, action in pickle._Unpickler.dispatch.items()
                if code not in [name[0] for name in (pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4,
                                                     pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER)]}

    def load_build(self):
        self.stack.pop()  # a state_dict's _metadata, which is not needed
        if not isinstance(self.stack[-1], dict):
            raise TorchFileError("the file changes something that is no dictionary")

    dispatch[pickle.BUILD[0]] = load_build

    def load_frame(self):
        self.read(8)  # how much one read may take, in protocols 4 and 5; here all is in memory already

    dispatch[pickle.FRAME[0]] = load_frame

    def find_class(self, module, name):
        known = {("collections", "OrderedDict"): collections.OrderedDict,
                 ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor, ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
                 ("torch._utils", "_rebuild_parameter"): rebuild_parameter}
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and name in KINDS:
            return Kind(KINDS[name])
        if module == "torch" and name in DTYPES:
            return Kind(DTYPES[name])
        raise TorchFileError(f"the file names {printable(module)}.{printable(name)}; only tensors in dictionaries are read, because anything else could run code. "
                             "Save the weights alone: torch.save(model.state_dict(), PATH)")

    def persistent_load(self, saved):
        if not isinstance(saved, tuple) or len(saved) < 5 or saved[0] not in ("storage", b"storage") or not isinstance(saved[1], Kind):
            raise TorchFileError("the file names something that is no storage")
        key, count = saved[2], saved[4]
        if not isinstance(key, (str, int)) or not isinstance(count, int) or not 0 <= count < 2 ** 48:
            raise TorchFileError("a storage has an impossible size")
        if len(saved) > 5 and saved[5] is not None:
            raise TorchFileError("the file holds views of storages, which very old versions of PyTorch wrote; load and save it again")
        return self.storages(str(key), saved[1].name, count)


def printable(text):
    return "".join(c if c.isprintable() else "?" for c in str(text))[:80]


def unpickled(stream, storages):
    try:
        return Unpickler(stream, storages).load()
    except TorchFileError:
        raise
    except RecursionError:
        raise TorchFileError("its pickle is nested too deeply") from None
    except Exception as problem:  # whatever a damaged pickle makes of Python's own types
        raise TorchFileError(f"it is no file of torch.save, or damaged ({type(problem).__name__}: {printable(problem)})") from None


def read_zip(file):
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {}
            for entry in archive.infolist():
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise TorchFileError(f"{printable(entry.filename)} is compressed inside the archive; torch.save stores it plainly")
                entries[entry.filename.partition("/")[2]] = entry
            if "data.pkl" not in entries:
                raise TorchFileError("it is a zip archive without data.pkl" + (", a TorchScript module? Save model.state_dict() instead" if "constants.pkl" in entries else ""))
            if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
                raise TorchFileError("its numbers are big-endian, which is not read")
            known, left = {}, [os.fstat(file.fileno()).st_size]

            def storage(key, kind, count):
                if key not in known:
                    entry = entries.get("data/" + key)
                    found = Storage(kind, count)
                    if entry is None or entry.file_size != found.size():
                        raise TorchFileError(f"storage {printable(key)} should have {found.size()} bytes, the archive holds {entry.file_size if entry else 'none'}")
                    left[0] -= found.size()
                    if left[0] < 0:
                        raise TorchFileError("its storages are larger than the file")
                    found.data = archive.read(entry)
                    if len(found.data) != found.size():
                        raise TorchFileError(f"storage {printable(key)} is cut off")
                    known[key] = found
                if known[key].kind != kind or known[key].count != count:
                    raise TorchFileError(f"storage {printable(key)} has two sizes or types")
                return known[key]

            if entries["data.pkl"].file_size > MOST_PICKLE_BYTES:
                raise TorchFileError(f"its pickle has {entries['data.pkl'].file_size} bytes, at most {MOST_PICKLE_BYTES} are read")
            return unpickled(io.BytesIO(archive.read(entries["data.pkl"])), storage)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError, UnicodeDecodeError) as problem:
        raise TorchFileError(f"its zip archive is damaged ({printable(problem)})") from None


def read_legacy(data):
    """Magic number, protocol, system, object, keys of the storages: five pickles; then each storage as count and bytes."""
    stream = io.BytesIO(data)
    known = {}

    def storage(key, kind, count):
        found = known.setdefault(key, Storage(kind, count))
        if found.kind != kind or found.count != count:
            raise TorchFileError(f"storage {printable(key)} has two sizes or types")
        return found

    def following():
        return unpickled(stream, storage)

    if following() != LEGACY_MAGIC:
        raise TorchFileError("it is no file of torch.save")
    following(), following()
    content, keys = following(), following()
    if not isinstance(keys, list) or len(keys) != len(set(map(str, keys))) or {str(k) for k in keys} != set(known):
        raise TorchFileError("its list of storages does not fit its tensors")
    for key in keys:
        found = known[str(key)]
        head = stream.read(8)
        if len(head) < 8 or int.from_bytes(head, "little") != found.count:
            raise TorchFileError(f"storage {printable(key)} should have {found.count} values, the file holds {int.from_bytes(head, 'little')}")
        found.data = stream.read(found.size())
        if len(found.data) != found.size():
            raise TorchFileError(f"storage {printable(key)} is cut off: {len(found.data)} of {found.size()} bytes")
    return content


def read(path):
    """The saved object, with `Pending` for tensors. Raises `TorchFileError`, or OSError if the file cannot be opened."""
    with open_bounded(path, MOST_FILE_BYTES) as file:
        is_zip = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        return read_zip(file) if is_zip else read_legacy(file.read(os.fstat(file.fileno()).st_size))


def read_state(path, key=None):
    """name -> array of a saved state_dict. `key`: where it stands in a checkpoint; the usual names are tried without one."""
    saved = read(path)
    if not isinstance(saved, dict):
        raise TorchFileError(f"it holds a {'tensor' if isinstance(saved, Pending) else type(saved).__name__}; expected a state_dict: torch.save(model.state_dict(), PATH)")
    if key is not None:
        if not isinstance(saved.get(key), dict):
            raise TorchFileError(f"it has no dictionary \"{printable(key)}\"; found: " + ", ".join(sorted(printable(k) for k in list(saved)[:20])))
        saved = saved[key]
    elif not any(isinstance(v, Pending) for v in saved.values()):
        inner = [k for k in ("state_dict", "model_state_dict", "model", "net") if isinstance(saved.get(k), dict)]
        if len(inner) != 1:
            raise TorchFileError("it holds no tensors, but a checkpoint of " + (", ".join(sorted(printable(k) for k in list(saved)[:20])) or "nothing") + "; say which with --key")
        saved = saved[inner[0]]
    wrong = [printable(k) for k, v in saved.items() if not isinstance(v, Pending) or not isinstance(k, str)]
    if wrong:
        raise TorchFileError("entries that are no tensors under a name: " + ", ".join(wrong[:20]) + ("; is the state_dict inside, to be named with --key?" if len(wrong) < len(saved) else ""))
    total = sum(numpy.prod(v.size, dtype=object) for v in saved.values())
    if total > MOST_VALUES:
        raise TorchFileError(f"its tensors have {total} values, at most {MOST_VALUES} are read")
    return {name: pending.array() for name, pending in saved.items()}
