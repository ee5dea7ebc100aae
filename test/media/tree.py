#!/usr/bin/env python3
"""A directory tree of every kind of file, and a full listing of one.

tree.py make DIR    makes DIR with all kinds of files that media may hold
tree.py list DIR    prints one line for each name: kind, mode, owner, size, mtime, extended
                    attributes, holes, content, and which names are the same file
"""
import hashlib
import os
import stat
import struct
import sys


def acl(entries):
    """The bytes of system.posix_acl_access, as acl_ea.h of Linux has them."""
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)


def write(path, content):
    with open(path, 'wb') as file:
        file.write(content)


def set_attribute(path, name, value):
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        print(f'no {name}: {error}', file=sys.stderr)


def make(top):
    top = os.fsencode(top)
    os.makedirs(top + b'/photos/2024')
    os.makedirs(top + b'/photos.old')
    os.makedirs(top + b'/empty')
    os.makedirs(top + b'/closed')
    for i in range(300):
        write(top + b'/photos/2024/%d.jpg' % i, b'small %d\n' % i * (i + 1))
    write(top + b'/photos/none', b'')
    write(top + b'/photos/large', os.urandom(3_000_000))
    write(top + b'/photos.old/a', b'sorts between photos and photos/')
    write(top + b'/photos/caf\xe9 \n"tab\there\'', b'no UTF-8')
    write(top + b'/script', b'#!/bin/sh\n')
    os.chmod(top + b'/script', 0o4755)
    os.chmod(top + b'/photos', 0o2770)
    os.chmod(top + b'/photos/none', 0o640)
    os.symlink(b'photos/2024/1.jpg', top + b'/link')
    os.symlink(b'/nowhere/at all', top + b'/dangling')
    os.symlink(b'photos', top + b'/directory link')
    write(top + b'/photos/2024/first', b'several names ' * 10_000)
    os.link(top + b'/photos/2024/first', top + b'/photos/second')
    os.link(top + b'/photos/2024/first', top + b'/zz third')
    with open(top + b'/sparse', 'wb') as file:
        file.write(b'begin')
        file.seek(50_000_000)
        file.write(b'in the middle')
        file.truncate(80_000_000)
    with open(top + b'/small sparse', 'wb') as file:
        file.truncate(40_000)
    write(top + b'/zeros', bytes(300_000))
    set_attribute(top + b'/script', 'user.origin', b'a value\0with any \xff bytes')
    set_attribute(top + b'/photos', 'user.directory', b'of a directory')
    set_attribute(top + b'/photos/none', 'system.posix_acl_access',
                  acl([(1, 6, 0xFFFFFFFF), (2, 4, os.getuid() + 1), (4, 4, 0xFFFFFFFF),
                       (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]))
    set_attribute(top + b'/empty', 'system.posix_acl_default',
                  acl([(1, 7, 0xFFFFFFFF), (2, 5, os.getuid() + 1), (4, 5, 0xFFFFFFFF),
                       (16, 5, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]))
    os.mkfifo(top + b'/pipe')
    os.utime(top + b'/photos.old/a', ns=(1, -86_400_000_000_000 + 7))
    os.utime(top + b'/photos/2024', ns=(1, 1_000_000_000_123_456_789))
    os.chmod(top + b'/closed', 0o555)


def describe(path, status):
    attributes = []
    if not stat.S_ISLNK(status.st_mode):
        for name in sorted(os.listxattr(path)):
            attributes.append(f'{name}={os.getxattr(path, name).hex()}')
    content = ''
    if stat.S_ISREG(status.st_mode):
        with open(path, 'rb') as file:
            content = hashlib.sha256(file.read()).hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path).hex()
    size = status.st_size if stat.S_ISREG(status.st_mode) else '-'
    holes = stat.S_ISREG(status.st_mode) and status.st_blocks * 512 < status.st_size
    return (f'{stat.S_IFMT(status.st_mode):o} {stat.S_IMODE(status.st_mode):o} {status.st_uid} '
            f'{status.st_gid} {size} {status.st_mtime_ns} {"holes" if holes else "whole"} '
            f'{content} {",".join(attributes)}')


def list_tree(top):
    top = os.fsencode(top)
    paths = [b'']
    for directory, names, files in os.walk(top):
        below = directory[len(top):].lstrip(b'/')
        paths += [os.path.join(below, name) for name in names + files]
    first = {}
    for path in sorted(paths):
        full = os.path.join(top, path) if path else top
        status = os.lstat(full)
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
            continue
        same = first.setdefault((status.st_dev, status.st_ino), path)
        print(repr(path), describe(full, status), repr(same))


if __name__ == '__main__':
    {'make': make, 'list': list_tree}[sys.argv[1]](sys.argv[2])
