#!/usr/bin/env python3
"""Makes a backup older, for tests that cannot wait: age_backup.py REPOSITORY BACKUP_ID HOURS

Moves started_at and finished_at of its record back and seals it again, by
doc/repository_format.md, "Sealed JSON".
"""

import datetime
import re
import sys

from read_repository import digest128

FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def main(repository, backup_id, hours):
    path = f"{repository}/backups/{backup_id}/record.json"
    shift = datetime.timedelta(hours=int(hours))

    def earlier(match):
        time = datetime.datetime.strptime(match[2], FORM) - shift
        return f'{match[1]}{time.strftime(FORM)}"'

    with open(path, encoding="ascii") as file:
        text = file.read()
    body = text[:text.rindex('  "digest"')]
    body = re.sub(r'("(?:started_at|finished_at)": ")([^"]*)"', earlier, body)
    with open(path, "w", encoding="ascii") as file:
        file.write(f'{body}  "digest": "{digest128(body.encode()).hex()}"\n}}\n')


main(*sys.argv[1:])
