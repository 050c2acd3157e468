# The machine of a page: the service is installed as the README says, in a systemd that is thrown away. bash reads this as root
# in the page's folder, before the page's own script.

# shellcheck source=../SystemdTests/box.sh
source box.sh
# Names the command that ends the page.
set -E
trap 'echo "failed: $BASH_COMMAND"' ERR
install_all
systemctl start prwlockd.socket
for user in app other; do useradd --create-home --groups prwlock "$user"; done

# pip finds all packages in a folder: the machine has no network.
export PIP_NO_INDEX=1 PIP_FIND_LINKS=$PWD/wheels PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
export PYTHONDONTWRITEBYTECODE=1
mkdir /tmp/dist
cp wheels/prwlock-[1-9]*.whl /tmp/dist
packages=$PWD

# held NAME [MODE], waits NAME [COUNT]: whether a lock has a holder, or so many waiting requests.
held() { prwlock list "$1" | grep -q "^${2:-[a-z]}.* $1\$"; }
waits() { prwlock status "$1" | grep -q " ${2:-1} waiting"; }

cd /root
