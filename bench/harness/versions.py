"""Configuration versions that can be told apart in every answer, and faulty ones.

Version V sends to the origin named after its parity (field `server`), limits the tenant to QUOTA_BASE + V requests (field
`ratelimit-policy`), refuses `?probe=PARITY` by a rule of its own (403), and serves certificate V mod CERTIFICATES. Route,
limit and rule of one answer must therefore agree on V, or the request saw two versions.
"""

import json
import os
import shutil

from harness import install, machine

FOLDER = os.path.join(machine.WORK, "reloads")
HOST = "localhost"
QUOTA_BASE = 1_000_000
CERTIFICATES = 4
ACCESS_LOG = "access.log"
# What wrk runs beside every answer: counts those that disagree with themselves.
CHECK_LUA = """
local probe = tonumber(os.getenv("PROBE"))
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() mixed, wrong, example = 0, 0, "" end
local function field(headers, wanted)
  for name, value in pairs(headers) do
    if string.lower(name) == wanted then return value end
  end
  return ""
end
function response(status, headers)
  local quota = tonumber(string.match(field(headers, "ratelimit-policy"), "q=(%%d+)"))
  if quota == nil or (status ~= 200 and status ~= 403) then
    wrong = wrong + 1
    example = "status " .. status
    return
  end
  local parity = (quota - %d) %% 2
  local refused = parity == probe
  local origin = parity == 0 and "even" or "odd"
  if refused ~= (status == 403) or (status == 200 and field(headers, "server") ~= origin) then
    mixed = mixed + 1
    example = "status " .. status .. " of quota " .. quota .. " from " .. field(headers, "server")
  end
end
function done(summary)
  local mixed, wrong, example = 0, 0, ""
  for _, thread in ipairs(threads) do
    mixed, wrong = mixed + thread:get("mixed"), wrong + thread:get("wrong")
    example = example .. thread:get("example")
  end
  io.write(string.format("checked: %%d mixed, %%d wrong (%%s)\\n", mixed, wrong, example))
end
""" % QUOTA_BASE


def prepare():
    """Makes the folder with the certificates and wrk's check; returns the path of the latter."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    for number in range(CERTIFICATES):
        install.run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", f"/CN=localhost-{number}", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", path(f"{number}.key"), "-out", path(f"{number}.pem"),
        ])
    with open(path("check.lua"), "w", encoding="utf-8") as file:
        file.write(CHECK_LUA)
    return path("check.lua")


def path(name):
    """A file of this run."""
    return os.path.join(FOLDER, name)


def document(version, origins, ports):
    """The document of a version; its rule file is written as well."""
    parity = version % 2
    rules = path(f"rules-{version % 8}.conf")
    with open(rules, "w", encoding="utf-8") as file:
        file.write(f"# version {version}\n")
        file.write(f'SecRule ARGS:probe "@streq {parity}" "id:{1000 + version},phase:1,deny,status:403,msg:\'version {version}\'"\n')
    number = version % CERTIFICATES
    plain, tls, admin = ports
    return {
        "version": 1,
        "admin": {"address": f"127.0.0.1:{admin}"},
        "observability": {"access_log": {"file": path(ACCESS_LOG)}},
        "listeners": [
            {"id": "web", "address": f"127.0.0.1:{plain}"},
            {"id": "websecure", "address": f"127.0.0.1:{tls}", "tls": {}},
        ],
        "client": {"keepalive_requests_max": 1_000_000_000, "connections_per_address_max": 16_384},
        "pools": [{"id": f"origin-{name}", "endpoints": [f"127.0.0.1:{port}"]} for name, port in origins.items()],
        "rule_sets": [{"id": "own", "files": [rules]}],
        "tenants": [
            {
                "id": "site",
                "hosts": [HOST],
                "tls": {"certificates": [{"cert_file": path(f"{number}.pem"), "key_file": path(f"{number}.key")}]},
                "limits": {"tenant": {"requests": QUOTA_BASE + version, "window_ms": 1000}},
                "waf": {"mode": "block", "rule_set": "own"},
                "routes": [{"id": f"route-{version}", "pool": f"origin-{['even', 'odd'][parity]}"}],
            }
        ],
    }


def faulty(number, sound):
    """A document that must be refused, of one kind after the other: (what is wrong, text)."""
    bad = json.loads(json.dumps(sound))
    tenant = bad["tenants"][0]
    kind = number % 6
    if kind == 0:
        return "not YAML", "tenants: [\n"
    if kind == 1:
        tenant["routes"][0]["pool"] = "nowhere"
        return "unknown pool", json.dumps(bad)
    if kind == 2:
        broken = path("broken.conf")
        with open(broken, "w", encoding="utf-8") as file:
            file.write('SecRule ARGS "@rx (" "id:1,phase:2,deny"\n')
        tenant["waf"]["rules"] = [broken]
        return "broken rule", json.dumps(bad)
    if kind == 3:
        tenant["tls"]["certificates"][0]["cert_file"] = path("missing.pem")
        return "missing certificate", json.dumps(bad)
    if kind == 4:
        certificate = tenant["tls"]["certificates"][0]
        certificate["key_file"] = path(f"{(int(os.path.basename(certificate['cert_file'])[0]) + 1) % CERTIFICATES}.key")
        return "key of another certificate", json.dumps(bad)
    origin = bad["pools"][0]["endpoints"][0]
    bad["listeners"].append({"id": "taken", "address": origin})
    return "address in use", json.dumps(bad)
