"""The container image of the new side: Apache, PHP and DokuWiki with the libraries they load, and
nothing else. Copied from the packages installed here, since a download would make the demo depend
on a registry."""

import os
import pathlib
import re
import shutil

from owned import run

NAME = "localhost/wtdemo-wiki:1"
HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = "/usr/sbin/apache2"
TREES = (
    "/usr/lib/apache2/modules",
    "/usr/lib/php",
    "/etc/php",
    "/usr/share/php",
    "/usr/share/php-geshi",
    "/usr/share/dokuwiki",
    "/usr/share/javascript",
    "/var/lib/dokuwiki/lib",
    "/etc/dokuwiki",
    "/usr/share/zoneinfo",
    "/etc/mime.types",
    "/etc/alternatives",
)
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
ACCOUNTS = {
    "etc/passwd": "root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n",
    "etc/group": "root:x:0:\nwww-data:x:33:\n",
}


def podman(work, *words, check=True, timeout=60):
    """Podman with a store of its own in the work folder: no image or container of the machine is
    touched."""
    env = {**os.environ, "CONTAINERS_CONF": str(HERE / "containers.conf"), "WATARI_DEMO": str(work)}
    return run(
        "podman",
        "--root",
        f"{work}/podman",
        "--runroot",
        "/run/wtdemo-podman",
        *words,
        check=check,
        timeout=timeout,
        env=env,
    )


def clear(work):
    """Ends containers of an earlier run."""
    if pathlib.Path(work, "podman").is_dir() and shutil.which("podman"):
        podman(work, "rm", "--all", "--force", "--time", "0", check=False)


def make(work):
    """Builds the image unless the store has one that is newer than every package."""
    seal = pathlib.Path(work, "image.stamp")
    packages = pathlib.Path("/var/lib/dpkg/status").stat().st_mtime
    known = seal.exists() and seal.stat().st_mtime > max(
        packages, pathlib.Path(__file__).stat().st_mtime
    )
    if known and podman(work, "image", "exists", NAME, check=False).returncode == 0:
        return
    skeleton = make_skeleton(pathlib.Path(work, "image"))
    pack(work, skeleton, [path for path in TREES if os.path.exists(path)] + [PROGRAM, *libraries()])
    seal.touch()


def libraries():
    """Every shared object the program and its modules need, and the loader, as the loader itself
    resolves them."""
    objects = [
        PROGRAM,
        *map(str, pathlib.Path("/usr/lib/apache2/modules").glob("*.so")),
        *map(str, pathlib.Path("/usr/lib/php").rglob("*.so")),
    ]
    found = set(
        re.findall(r"(/[^\s:()]+\.so[^\s:()]*) \(0x", run("ldd", *objects, check=False).stdout)
    )
    both = found | {os.path.realpath(path) for path in found}
    return sorted(
        {str(pathlib.Path(os.path.realpath(os.path.dirname(p)), os.path.basename(p))) for p in both}
    )


def make_skeleton(folder):
    shutil.rmtree(folder, ignore_errors=True)
    for sub in (
        "etc",
        "tmp",
        "run",
        "proc",
        "sys",
        "dev",
        "var",
        "usr/lib",
        "usr/lib64",
        "usr/bin",
        "usr/sbin",
    ):
        folder.joinpath(sub).mkdir(parents=True)
    for name, target in MERGED.items():
        folder.joinpath(name).symlink_to(target)
    for name, text in ACCOUNTS.items():
        folder.joinpath(name).write_text(text)
    folder.joinpath("tmp").chmod(0o1777)
    return folder


def pack(work, skeleton, paths):
    archive = pathlib.Path(work, "image.tar")
    run("tar", "-cf", archive, "-C", skeleton, ".", timeout=60)
    run("tar", "-rf", archive, "-C", "/", *sorted({p.lstrip("/") for p in paths}), timeout=120)
    try:
        podman(work, "import", archive, NAME, timeout=120)
    finally:
        archive.unlink()
        shutil.rmtree(skeleton)
