"""A JupyterHub for a group on one machine: ``jupyterhub -f binder/jupyterhub_config.py``.

Everything listens on loopback. The store, cache and data of whoever starts it (``TASOC_STORE``,
``TASOC_CACHE``, ``TASOC_DATA``) are what all users read; each writes to a store of their own. docs/hub.md
says what this is safe for, and what it is not.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tasoc_kit.config import settings

PYTHON = sys.executable
CHECKOUT = Path(__file__).parents[1]
HERE = Path(os.environ.get("TASOC_HUB_FOLDER") or "hub").absolute()
URL = urlsplit(os.environ.get("TASOC_HUB_URL") or "http://127.0.0.1:8000")
PORT = URL.port or 80
SECONDS_IDLE = 4 * 3600
MADE_HERE = ("_build", "store", "cache", ".ipynb_checkpoints")
SECONDS_TO_START = 240  # many start at once when a lesson begins


def secret(name: str, least: int) -> str:
    """Return a password of the environment, and take it out of what processes started from here inherit."""
    value = os.environ.pop(name, "")
    if len(value) < least:
        sys.exit(
            f"jupyterhub: {name} has {len(value)} characters; expected {least} at least. "
            "Set it in the environment, from a file that others cannot read."
        )
    return value


def absolute(place: str) -> str:
    """Return a folder or URL that means the same from any folder."""
    return place if "://" in place else str(Path(place).absolute())


def may_write(place: str) -> bool:
    """Tell whether a store can be written; one that is not there yet would be made."""
    folder = Path(place).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return "://" in place or os.access(there, os.W_OK | os.X_OK)


c = get_config()  # noqa: F821

HERE.mkdir(mode=0o700, parents=True, exist_ok=True)
c.JupyterHub.bind_url = URL.geturl()
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{PORT + 1}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{PORT + 2}"
c.ConfigurableHTTPProxy.pid_file = str(HERE / "proxy.pid")
c.JupyterHub.db_url = f"sqlite:///{HERE / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(HERE / "cookie_secret")
# The servers of the users go on while the Hub is started again.
c.JupyterHub.cleanup_servers = False

# Who may come
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = secret("TASOC_HUB_PASSWORD", 8)
c.Authenticator.allow_all = True
c.Authenticator.username_pattern = r"[a-z][a-z0-9_-]{0,31}\Z"  # it becomes a folder
admins = {name for name in re.split(r"[\s,]+", os.environ.get("TASOC_HUB_ADMINS", "")) if name}
if admins:
    c.Authenticator.admin_users = admins
    c.SharedPasswordAuthenticator.admin_password = secret("TASOC_HUB_ADMIN_PASSWORD", 32)

# Where each user works
here = settings()
shared = {
    "TASOC_SHARED_STORES": ",".join(map(absolute, (here.store, *here.shared_stores))),
    "TASOC_SHARED_CACHES": ",".join(absolute(str(cache)) for cache in (here.cache, *here.shared_caches)),
    "TASOC_DATA": absolute(here.data),
    "TASOC_CATALOGS": ",".join(absolute(str(folder)) for folder in here.catalogs),
    # Scripts and styles of figures come with the notebook, and Dask's dashboard through the same address.
    "JUPYTER_CONFIG_PATH": str(CHECKOUT / "binder" / "jupyter"),
    "PANEL_INLINE": "true",
    "DASK_DISTRIBUTED__DASHBOARD__LINK": "{JUPYTERHUB_SERVICE_PREFIX}proxy/{port}/status",
}
if os.environ.get("TASOC_NOTEBOOKS"):
    shared["TASOC_NOTEBOOKS"] = ",".join(map(absolute, os.environ["TASOC_NOTEBOOKS"].split(",")))


def home(spawner) -> Path:
    """Return the folder of a user."""
    return HERE / "users" / spawner.user.name


def bring_notebooks(spawner) -> None:
    """Give a new user copies of the notebooks to change, and of the pages that they lead to."""
    for name in ("notebooks", "docs"):
        place, coming = home(spawner) / name, home(spawner) / f".{name}"
        if place.exists():
            continue
        shutil.rmtree(coming, ignore_errors=True)
        left_out = shutil.ignore_patterns(*MADE_HERE)
        shutil.copytree(CHECKOUT / name, coming, ignore=left_out, copy_function=shutil.copyfile)
        for folder in (coming, *coming.rglob("*/")):
            folder.chmod(0o755)  # those of a read-only package are read-only
        coming.rename(place)


c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(HERE / "users" / "{username}")
c.Spawner.cmd = [PYTHON, "-m", "jupyterhub.singleuser"]
c.Spawner.args = [
    *(["--allow-root"] if os.geteuid() == 0 else []),
    f"--ServerApp.shutdown_no_activity_timeout={SECONDS_IDLE}",
    f"--MappingKernelManager.cull_idle_timeout={SECONDS_IDLE}",
]
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = c.Spawner.http_timeout = SECONDS_TO_START
c.Spawner.env_keep = ["PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ"]
c.Spawner.environment = shared | {
    "TASOC_STORE": lambda spawner: str(home(spawner) / "store"),
    "TASOC_CACHE": lambda spawner: str(home(spawner) / "cache"),
}
c.Spawner.pre_spawn_hook = bring_notebooks

# What all share: one dashboard and one API on the store of the group. Both ask the Hub who comes.
if may_write(here.store):
    group = {
        "TASOC_STORE": absolute(here.store),
        "TASOC_CACHE": absolute(str(here.cache)),
        "TASOC_DATABASE": here.database,
        "TASOC_SHARED_STORES": ",".join(map(absolute, here.shared_stores)),
    }
else:  # they read it as the users do, and keep tokens, jobs and reviews beside it
    group = {
        "TASOC_STORE": str(HERE / "group" / "store"),
        "TASOC_CACHE": str(HERE / "group" / "cache"),
        "TASOC_DATABASE": os.environ.get("TASOC_DATABASE", ""),
    }
COMMANDS = {
    "dashboard": ["--prefix", "/services/dashboard/", "--origin", URL.netloc],
    "api": [],
}
c.JupyterHub.services = [
    {
        "name": name,
        "url": f"http://127.0.0.1:{PORT + 3 + place}",
        "command": [PYTHON, "-m", "tasoc_kit.cli", name, "--port", str(PORT + 3 + place), *words],
        "environment": shared | group,
        "oauth_no_confirm": True,
    }
    for place, (name, words) in enumerate(COMMANDS.items())
]
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", *(f"access:services!service={name}" for name in COMMANDS)]}
]
