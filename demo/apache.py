"""One Apache with PHP and DokuWiki: its configuration, and how it is started as a machine or as a
container."""

import pathlib
import shutil
import signal

import image
import net
import wiki
from owned import run, start, stop

MODULES = pathlib.Path("/usr/lib/apache2/modules")
WANTED = ("mpm_prefork", "authz_core", "dir", "alias", "mime", "env", "headers", "rewrite")

# /healthz stays good while a fault is on: then probes see nothing, and the guard has to.
CONFIG = """ServerRoot "{root}"
ServerName {name}
PidFile {root}/run/apache.pid
DefaultRuntimeDir {root}/run
Mutex file:{root}/run default
ErrorLog {root}/error.log
Listen {address}:80
User #33
Group #33
{modules}
TypesConfig /etc/mime.types
ServerTokens Prod
StartServers 24
MinSpareServers 16
MaxSpareServers 32
MaxRequestWorkers {workers}
ListenBacklog 511
KeepAlive On
KeepAliveTimeout 3
MaxKeepAliveRequests 500
Timeout 30
Header always set X-Served-By {name}
SetEnv DEMO_FAULTS {faults}
DocumentRoot "{docs}"
Alias "/healthz" "{root}/healthz"
DirectoryIndex doku.php
<Directory />
    Require all granted
    Options FollowSymLinks
    AllowOverride None
</Directory>
<FilesMatch "\\.php$">
    SetHandler application/x-httpd-php
</FilesMatch>
php_admin_value auto_prepend_file {wiki}/prepend.php
php_admin_value session.save_path {wiki}/sessions
php_admin_value session.gc_probability 0
php_admin_value opcache.revalidate_freq 60
php_admin_flag expose_php off
RewriteEngine On
RewriteCond {faults}/errors -f
RewriteCond %{{REQUEST_URI}} !^/healthz
RewriteRule ^ - [R=500,L]
"""


class Site:
    """`name` is what it says in X-Served-By; its side is the part before the dash."""

    def __init__(self, work, name, address, workers=32):
        self.work, self.name, self.address = pathlib.Path(work), name, address
        self.side = name.partition("-")[0]
        self.root = self.work / "site" / name
        self.faults = self.work / "faults" / self.side
        self.process, self.container = None, None
        self.configure(workers)

    def configure(self, workers):
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.joinpath("run").mkdir(parents=True)
        self.faults.mkdir(parents=True, exist_ok=True)
        for flag in self.faults.iterdir():
            flag.unlink()
        self.root.joinpath("healthz").write_text("ok\n")
        shutil.chown(self.root / "run", wiki.WWW_DATA)
        php = sorted(MODULES.glob("libphp*.so"))[-1]
        modules = [f"LoadModule {m}_module {MODULES}/mod_{m}.so" for m in WANTED]
        modules.append(f"LoadModule php_module {php}")
        self.root.joinpath("apache.conf").write_text(
            CONFIG.format(
                root=self.root,
                name=self.name,
                address=self.address,
                workers=workers,
                faults=self.faults,
                wiki=self.work / "wiki",
                docs=wiki.INSTALLED,
                modules="\n".join(modules),
            )
        )

    def command(self):
        return ["/usr/sbin/apache2", "-f", self.root / "apache.conf", "-DFOREGROUND"]

    def start_as_machine(self):
        space = net.PREFIX + self.name
        self.process = start(self.work, self.name, ["ip", "netns", "exec", space, *self.command()])

    def start_as_container(self):
        mounts = [(self.work / "wiki", "rw"), (self.root, "rw"), (self.faults, "ro")]
        volumes = [f"--volume={path}:{path}:{mode}" for path, mode in mounts]
        self.container = net.PREFIX + self.name
        image.podman(
            self.work,
            "run",
            "--detach",
            "--name",
            self.container,
            "--network",
            f"ns:{net.path(self.name)}",
            *volumes,
            image.NAME,
            *self.command(),
        )

    def set_fault(self, fault, on):
        flag = self.faults / fault
        flag.touch() if on else flag.unlink(missing_ok=True)

    def stop(self, patience_s=10):
        """Lets requests that run come to their end (SIGWINCH is Apache's graceful stop)."""
        if self.container:
            image.podman(self.work, "kill", "--signal", "WINCH", self.container, check=False)
            image.podman(self.work, "rm", "--force", "--time", "3", self.container, check=False)
            self.container = None
        stop(self.process, signal.SIGWINCH, patience_s)
        self.process = None


def version():
    return run("/usr/sbin/apache2", "-v").stdout.splitlines()[0].partition(": ")[2]
