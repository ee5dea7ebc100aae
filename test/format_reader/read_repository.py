#!/usr/bin/env python3
"""Reads a repository by doc/repository_format.md alone: lists, checks and extracts its backups.

It shares no code with backup_ext. It proves that the document is complete, and it is a way to one's
data that needs nothing but Python 3 and the libraries zstd and xxHash:

    read_repository.py REPOSITORY list
    read_repository.py REPOSITORY files BACKUP
    read_repository.py REPOSITORY extract BACKUP DIRECTORY [PATH...]

`extract` writes the cluster's files to DIRECTORY/data and configuration files from outside the data
directory to DIRECTORY/outside. It is no restore: nothing is fsynced, tablespaces become plain
directories below data/pg_tblspc, and the settings are those of the origin. Names in the messages
("Frame", "Page map") are sections of the document.
"""
import ctypes
import json
import os
import re
import sys

xxhash = ctypes.CDLL("libxxhash.so.0")
zstd = ctypes.CDLL("libzstd.so.1")


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


xxhash.XXH3_64bits.restype = ctypes.c_uint64
xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
xxhash.XXH3_128bits.restype = Hash128
xxhash.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
zstd.ZSTD_decompress.restype = ctypes.c_size_t
zstd.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]

FRAME_HEADER_BYTES = 48
FRAME_PLAIN_LIMIT_BYTES = 262144
PACK_HEADER_BYTES = 64
ENTRY_LIMIT_BYTES = 256 * 1024 * 1024
BACKUP_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
DIRECTORY, FILE, TABLESPACE_LINK, CONFIGURATION, REMOVED, SYMBOLIC_LINK, HARD_LINK = range(1, 8)
PACK, SECOND_SECTION, END, HEADER = 64, 65, 66, 67


class Damaged(Exception):
    pass


def require(condition, problem):
    if not condition:
        raise Damaged(problem)


def check64(data):
    return xxhash.XXH3_64bits(data, len(data))


def digest128(data):
    value = xxhash.XXH3_128bits(data, len(data))
    return value.high.to_bytes(8, "big") + value.low.to_bytes(8, "big")


class Fields:
    """Section "Encodings"."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def remaining(self):
        return len(self.data) - self.at

    def take(self, count):
        require(count <= self.remaining(), "Encodings: ends early")
        self.at += count
        return self.data[self.at - count:self.at]

    def u(self, count):
        return int.from_bytes(self.take(count), "little")

    def varint(self, limit=2**64):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u(1)
            require(shift == 0 or byte != 0, "Encodings: varint longer than it needs to be")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                require(value < limit, "Encodings: number out of range")
                return value
        raise Damaged("Encodings: varint of more than 10 bytes")

    def signed(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def string(self):
        return self.take(self.varint())


def decode_frame(stored, at):
    """Section "Frame". Returns the plain bytes, the digest and where the frame ends."""
    header = stored[at:at + FRAME_HEADER_BYTES]
    require(len(header) == FRAME_HEADER_BYTES, "Frame: header ends early")
    fields = Fields(header)
    require(fields.take(4) == b"BXF1", "Frame: magic")
    compression, encryption, zero = fields.u(1), fields.u(1), fields.u(2)
    plain_bytes, payload_bytes, digest = fields.u(4), fields.u(4), fields.take(16)
    payload_check = fields.u(8)
    require(fields.u(8) == check64(header[:40]), "Frame: header check")
    require(compression <= 1 and encryption == 0 and zero == 0, "Frame: of a newer version")
    require(0 < plain_bytes <= FRAME_PLAIN_LIMIT_BYTES and payload_bytes > 0, "Frame: lengths")
    require(payload_bytes == plain_bytes if compression == 0 else payload_bytes < plain_bytes,
            "Frame: lengths")
    end = at + FRAME_HEADER_BYTES + payload_bytes
    payload = stored[at + FRAME_HEADER_BYTES:end]
    require(len(payload) == payload_bytes, "Frame: payload ends early")
    require(check64(payload) == payload_check, "Frame: payload check")
    plain = payload
    if compression == 1:
        room = ctypes.create_string_buffer(plain_bytes)
        count = zstd.ZSTD_decompress(room, plain_bytes, payload, payload_bytes)
        require(count == plain_bytes, "Frame: does not decompress")
        plain = room.raw
    require(digest128(plain) == digest, "Frame: digest")
    return plain, digest, end


def read_sealed_json(path):
    """Section "Sealed JSON"."""
    with open(path, "rb") as file:
        text = file.read()
    seal = re.compile(rb'  "digest": "([0-9a-f]{32})"\n}\n\Z').search(text)
    require(seal is not None, f"Sealed JSON: {path} has no digest")
    require(digest128(text[:seal.start()]).hex() == seal[1].decode(), f"Sealed JSON: {path}")
    return json.loads(text)


def text_member(record, name):
    if name + "_hex" in record:
        return bytes.fromhex(record[name + "_hex"]).decode("latin-1")
    return record[name]


class Entry:
    """Section "Manifest": an entry of type 1 to 7."""

    def __init__(self, kind, fields):
        self.kind = kind
        self.file_kind = fields.u(1)
        require(self.file_kind <= 8, "Manifest: unknown kind of file")
        self.path, self.link_target = fields.string(), fields.string()
        self.mode, self.uid, self.gid = (fields.varint(2**32) for _ in range(3))
        self.size_bytes, self.inode = fields.varint(), fields.varint()
        self.mtime_ns, self.ctime_ns, self.birth_ns, self.read_at = (fields.signed() for _ in range(4))
        self.xattrs = [(fields.string(), fields.string()) for _ in range(fields.varint())]
        self.content, self.frames, self.runs, self.unit_bytes = bytes(16), [], [], 1
        parts = self.path.split(b"/")
        require(not {b"", b".", b".."} & set(parts) and b"\0" not in self.path, "Manifest: path")
        if kind in (FILE, CONFIGURATION):
            self.content = fields.take(16)
            self.read_page_map(fields)

    def read_page_map(self, fields):
        """Section "Page map"."""
        self.unit_bytes = fields.varint(2**32)
        pack = end = 0
        for _ in range(fields.varint()):
            step = fields.signed()
            pack, end = pack + step, 0 if step else end
            offset = end + fields.signed()
            stored_bytes, plain_bytes = fields.varint(2**32), fields.varint(2**32)
            require(0 < plain_bytes <= FRAME_PLAIN_LIMIT_BYTES, "Page map: frame length")
            require(FRAME_HEADER_BYTES < stored_bytes <= FRAME_HEADER_BYTES + plain_bytes,
                    "Page map: stored length")
            require(pack >= 0 and offset >= PACK_HEADER_BYTES, "Page map: place of a frame")
            self.frames.append((pack, offset, stored_bytes, plain_bytes, fields.take(8)))
            end = offset + stored_bytes
        expected = covered = 0
        for _ in range(fields.varint()):
            units = fields.varint()
            frame = expected + fields.signed()
            first_unit = fields.varint(2**32)
            require(0 <= frame < len(self.frames) and units > 0, "Page map: run")
            require((first_unit + units) * self.unit_bytes <= self.frames[frame][3],
                    "Page map: run outside of its frame")
            self.runs.append((units, frame, first_unit))
            covered += units * self.unit_bytes
            expected = frame + 1
        require(covered == self.size_bytes, "Page map: runs do not cover the file")
        visible = fields.string()
        pages = 0 if self.unit_bytes == 1 else self.size_bytes // self.unit_bytes
        require(len(visible) in (0, (pages + 7) // 8), "Page map: visibility bits")


class Manifest:
    """Section "Manifest", read whole; with `is_media` section "Media"."""

    def __init__(self, path, record, is_media=False):
        self.is_media = is_media
        named = record["media"] if is_media else record
        with open(path, "rb") as file:
            stored = file.read()
        require(len(stored) == named["manifest_bytes"], "Manifest: size")
        require(digest128(stored).hex() == named["manifest_digest"], "Manifest: digest")
        plain, at = [], 0
        while at < len(stored):
            piece, _, at = decode_frame(stored, at)
            plain.append(piece)
        self.stream = Fields(b"".join(plain))
        self.packs, self.entries, removed, totals = [], [], set(), [0, 0, 0]
        self.read_header(self.next_entry(), record)
        second_section, path_before = False, b""
        while True:
            fields = self.next_entry()
            kind = fields.u(1)
            if kind == PACK:
                backup_id = fields.string().decode()
                require(BACKUP_ID.fullmatch(backup_id), "Manifest: backup id of a pack")
                self.packs.append((backup_id, fields.varint(2**32), fields.varint(2**32)))
            elif kind == SECOND_SECTION:
                require(not second_section, "Manifest: second section begins twice")
                second_section, path_before = True, b""
            elif kind == END:
                found = [fields.varint() for _ in range(3)]
                break
            else:
                require(DIRECTORY <= kind <= HARD_LINK, "Manifest: unknown type of entry")
                entry = Entry(kind, fields)
                self.check_media(entry, second_section, record)
                require(entry.path > path_before, "Manifest: entries are out of order")
                require(entry.unit_bytes in (1, self.page_bytes), "Page map: unit")
                require(all(frame[0] < len(self.packs) for frame in entry.frames),
                        "Page map: pack that is not defined")
                path_before = entry.path
                if kind == REMOVED:
                    require(second_section, "Manifest: removal in the first section")
                    removed.add(entry.path)
                else:
                    self.entries.append((second_section, entry))
                totals[0] += kind in (FILE, CONFIGURATION)
                totals[1] += kind == DIRECTORY
                totals[2] += entry.size_bytes if kind in (FILE, CONFIGURATION) else 0
            require(fields.remaining() == 0, "Manifest: entry is longer than its fields")
        require(fields.remaining() == 0 and self.stream.remaining() == 0, "Manifest: not at its end")
        require(found == totals, "Manifest: totals")
        self.entries = [entry for second, entry in self.entries
                        if second or entry.path not in removed]

    def check_media(self, entry, second_section, record):
        """Section "Media"."""
        if not self.is_media:
            require(entry.kind <= REMOVED and entry.file_kind <= 7, "Manifest: media among others")
            return
        require(entry.kind in (DIRECTORY, FILE, SYMBOLIC_LINK, HARD_LINK) and
                entry.file_kind in (0, 8) and not second_section, "Media: type of entry")
        number = re.fullmatch(rb"media/([1-9][0-9]*)(/.*)?", entry.path, re.DOTALL)
        require(number and int(number[1]) <= len(record["media"]["directories"]), "Media: path")
        require(entry.unit_bytes == 1, "Media: unit")
        if entry.kind == HARD_LINK:
            require(entry.link_target in {e.path for _, e in self.entries
                                          if e.kind in (FILE, HARD_LINK)}, "Media: hard link")
        if entry.kind == SYMBOLIC_LINK:
            require(entry.link_target, "Media: symbolic link to nothing")

    def next_entry(self):
        length = self.stream.varint()
        require(0 < length <= ENTRY_LIMIT_BYTES, "Manifest: length of an entry")
        return Fields(self.stream.take(length))

    def read_header(self, fields, record):
        require(fields.u(1) == HEADER and fields.take(4) == b"BXM1", "Manifest: magic")
        require(fields.varint() <= 1, "Manifest: of a newer version")
        require(fields.u(8) == int(record["system_identifier"]), "Manifest: of another cluster")
        require(fields.string().decode() == record["backup_id"], "Manifest: of another backup")
        parent_id = fields.string().decode()
        require(self.is_media or parent_id == record["parent_id"], "Manifest: parent")
        self.page_bytes = fields.varint()
        require(fields.remaining() == 0, "Manifest: header is longer than its fields")


class Repository:
    def __init__(self, root):
        self.root = root
        identity = read_sealed_json(os.path.join(root, "repository.json"))
        require(identity["format_version"] <= 1, "Repository: of a newer format")
        self.system_identifier = int(identity["system_identifier"])
        self.open_packs, self.last_frame = {}, (None, None)

    def backup_ids(self):
        """Newest first; a directory without a record is no backup."""
        top = os.path.join(self.root, "backups")
        names = os.listdir(top) if os.path.isdir(top) else []
        return sorted((name for name in names if BACKUP_ID.fullmatch(name) and
                       os.path.exists(os.path.join(top, name, "record.json"))), reverse=True)

    def record(self, backup_id):
        require(BACKUP_ID.fullmatch(backup_id), f"no backup id: {backup_id}")
        record = read_sealed_json(os.path.join(self.root, "backups", backup_id, "record.json"))
        require(record["version"] <= 1, "Record: of a newer version")
        require(record["backup_id"] == backup_id, "Record: of another backup")
        require(int(record["system_identifier"]) == self.system_identifier,
                "Record: of another cluster")
        return record

    def manifest(self, backup_id):
        path = os.path.join(self.root, "backups", backup_id, "manifest")
        return Manifest(path, self.record(backup_id))

    def media(self, backup_id):
        """The manifest of the media; None where the backup holds none."""
        record = self.record(backup_id)
        if "media" not in record:
            return None
        path = os.path.join(self.root, "backups", backup_id, "media")
        media = Manifest(path, record, is_media=True)
        require(sum(entry.size_bytes for entry in media.entries if entry.kind == FILE)
                == record["media_bytes"], "Record: media_bytes")
        return media

    def pack(self, pack):
        """Section "Pack"."""
        if pack not in self.open_packs:
            backup_id, thread, number = pack
            path = os.path.join(self.root, "packs", backup_id, f"{thread}-{number}.pack")
            file = open(path, "rb")
            header = file.read(PACK_HEADER_BYTES)
            fields = Fields(header)
            require(fields.take(4) == b"BXP1" and fields.u(4) == 0, f"Pack: magic of {path}")
            require(fields.u(8) == self.system_identifier, f"Pack: {path} of another cluster")
            require(fields.take(24) == backup_id.encode().ljust(24, b"\0"), f"Pack: id of {path}")
            require((fields.u(4), fields.u(4)) == (thread, number), f"Pack: number of {path}")
            require(fields.u(8) == 0 and fields.u(8) == check64(header[:56]), f"Pack: {path}")
            self.open_packs[pack] = file
        return self.open_packs[pack]

    def frame(self, pack, frame):
        key = (pack, frame)
        if self.last_frame[0] != key:
            _, offset, stored_bytes, plain_bytes, short_digest = frame
            file = self.pack(pack)
            file.seek(offset)
            stored = file.read(stored_bytes)
            plain, digest, end = decode_frame(stored, 0)
            require(end == stored_bytes and len(plain) == plain_bytes and
                    digest[:8] == short_digest[::-1], "Page map: another frame lies in its place")
            self.last_frame = (key, plain)
        return self.last_frame[1]

    def content(self, manifest, entry):
        pieces = []
        for units, index, first_unit in entry.runs:
            frame = entry.frames[index]
            plain = self.frame(manifest.packs[frame[0]], frame)
            begin = first_unit * entry.unit_bytes
            pieces.append(plain[begin:begin + units * entry.unit_bytes])
        content = b"".join(pieces)
        require(len(content) == entry.size_bytes, "Page map: size")
        if entry.unit_bytes == 1:
            require(digest128(content) == entry.content, "Manifest: content")
        return content


def list_backups(repository):
    for backup_id in repository.backup_ids():
        record = repository.record(backup_id)
        print(backup_id, record["kind"], record["state"], record["database_bytes"],
              record["stored_bytes"], text_member(record, "label"), sep="\t")


def list_files(repository, backup_id):
    media = repository.media(backup_id)
    for entry in repository.manifest(backup_id).entries + (media.entries if media else []):
        print(entry.kind, entry.file_kind, f"{entry.mode:04o}", entry.size_bytes,
              os.fsdecode(entry.path), os.fsdecode(entry.link_target), sep="\t")


def extract(repository, backup_id, directory, wanted):
    os.mkdir(directory, 0o700)
    manifest = repository.manifest(backup_id)
    wanted = {os.fsencode(path) for path in wanted}
    for entry in manifest.entries:
        top = b"outside" if entry.kind == CONFIGURATION else b"data"
        path = os.path.join(os.fsencode(directory), top, entry.path)
        if wanted and entry.path not in wanted:
            continue
        if entry.kind in (DIRECTORY, TABLESPACE_LINK):
            os.makedirs(path, 0o700, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            with open(path, "xb") as file:
                file.write(repository.content(manifest, entry))
            os.chmod(path, entry.mode & 0o777)
    found = {entry.path for entry in manifest.entries}
    media = repository.media(backup_id)
    for entry in media.entries if media else []:
        extract_media(repository, media, entry, os.fsencode(directory), wanted)
        found.add(entry.path)
    require(wanted <= found, f"no such file in the backup: {wanted - found}")


def extract_media(repository, media, entry, directory, wanted):
    path = os.path.join(directory, entry.path)
    if wanted and entry.path not in wanted:
        return
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    if entry.kind == DIRECTORY:
        os.makedirs(path, 0o700, exist_ok=True)
    elif entry.kind == SYMBOLIC_LINK:
        os.symlink(entry.link_target, path)
    elif entry.kind == HARD_LINK:
        os.link(os.path.join(directory, entry.link_target), path)
    else:
        with open(path, "xb") as file:
            file.write(repository.content(media, entry))
        os.chmod(path, entry.mode & 0o777)


def main(arguments):
    commands = {"list": (list_backups, 0), "files": (list_files, 1), "extract": (extract, 2)}
    if len(arguments) < 2 or arguments[1] not in commands:
        sys.exit(__doc__)
    command, count = commands[arguments[1]]
    rest = arguments[2:]
    if len(rest) < count or (len(rest) > count and command is not extract):
        sys.exit(__doc__)
    values = rest[:2] + [rest[2:]] if command is extract else rest
    if count and values[0] == "latest":
        repository = Repository(arguments[0])
        complete = [backup_id for backup_id in repository.backup_ids()
                    if repository.record(backup_id)["state"] == "complete"]
        require(complete, "there is no complete backup")
        values[0] = complete[0]
    command(Repository(arguments[0]), *values)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Damaged as problem:
        sys.exit(f"read_repository.py: damaged: {problem}")
    except OSError as problem:
        sys.exit(f"read_repository.py: {problem}")
