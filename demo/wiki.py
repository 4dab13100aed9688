"""What all four servers share (state: Shared): DokuWiki's pages, settings, users, PHP sessions."""

import hashlib
import os
import pathlib
import shutil
import time

from owned import Failed, run

INSTALLED = pathlib.Path("/usr/share/dokuwiki")
DATA_FOLDERS = (
    "attic",
    "cache",
    "index",
    "locks",
    "log",
    "media",
    "media_attic",
    "media_meta",
    "meta",
    "pages",
    "tmp",
)
WWW_DATA = 33  # Debian's fixed id of Apache's user, the same in the containers
LATENESS_US = 1_500_000

LOCAL = """<?php
$conf['title'] = 'Crossing';
$conf['savedir'] = '{data}';
$conf['useacl'] = 1;
$conf['superuser'] = '@admin';
$conf['securecookie'] = 0;
$conf['updatecheck'] = 0;
$conf['disableactions'] = 'register,resendpwd';
$conf['passcrypt'] = 'md5';
"""

# Runs before every page. The flag is looked at each time, so a fault starts and ends without
# touching Apache.
PREPEND = """<?php
define('DOKU_CONF', '{conf}/');
if (file_exists(getenv('DEMO_FAULTS') . '/slow')) usleep({late});
"""

START_PAGE = """====== Crossing ======
This wiki moves while people work in it.

  * read [[shared:one]]
  * read [[shared:two]]
"""


def name(number):
    return f"user{number:04d}"


def password(number):
    return f"pass-{number}-wiki"


def make(folder, users):
    """A fresh wiki with `users` accounts and a page for each."""
    folder = pathlib.Path(folder)
    if not INSTALLED.is_dir():
        raise Failed("DokuWiki is not installed: apt-get install dokuwiki")
    clear(folder)
    folder.mkdir()
    # DokuWiki's locks are folders that waiting requests try to make every 50 us: on a busy disk
    # they choke each other.
    run("mount", "-t", "tmpfs", "-o", "mode=755,size=512m", "wtdemo-wiki", folder, check=False)
    for sub in DATA_FOLDERS:
        folder.joinpath("data", sub).mkdir(parents=True)
    for sub in ("conf", "sessions", "data/pages/shared", "data/pages/user", "data/meta/user"):
        folder.joinpath(sub).mkdir()
    write_settings(folder, users)
    write_pages(folder / "data/pages", users)
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, WWW_DATA, WWW_DATA)


def clear(folder):
    """Removes the wiki of this or an earlier run."""
    if os.path.ismount(folder):
        run("umount", "--lazy", folder)
    shutil.rmtree(folder, ignore_errors=True)


def write_settings(folder, users):
    conf = folder / "conf"
    conf.joinpath("local.php").write_text(LOCAL.format(data=folder / "data"))
    conf.joinpath("acl.auth.php").write_text("# <?php exit()?>\n*\t@ALL\t1\n*\t@user\t8\n")
    accounts = ["# <?php exit()?>"]
    for number in range(users):
        digest = hashlib.md5(password(number).encode()).hexdigest()
        accounts.append(f"{name(number)}:{digest}:User {number}:{name(number)}@wiki.example:user")
    conf.joinpath("users.auth.php").write_text("\n".join(accounts) + "\n")
    folder.joinpath("prepend.php").write_text(PREPEND.format(conf=conf, late=LATENESS_US))


def write_pages(pages, users):
    """The first words of every page, in its changelog too: DokuWiki delays the first save of a page
    it never saw made."""
    text = "\n\n".join(
        f"Paragraph {n}: //words// that **stay** the same on both sides." for n in range(6)
    )
    pages.joinpath("start.txt").write_text(START_PAGE)
    for page in ("one", "two"):
        pages.joinpath("shared", page + ".txt").write_text(f"===== Page {page} =====\n{text}\n")
    made = int(time.time()) - 60
    for number in range(users):
        page = pages.joinpath("user", name(number) + ".txt")
        page.write_text(f"===== {name(number)} =====\nfirst words\n")
        os.utime(page, (made, made))
        changes = pages.parent.joinpath("meta/user", name(number) + ".changes")
        changes.write_text(
            f"{made}\t127.0.0.1\tC\tuser:{name(number)}\t{name(number)}\tmade\t\t0\n"
        )
