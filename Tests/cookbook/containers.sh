# Containers in the machine of a page: podman with the programs of the page, and an image without a registry. For `source`.

# Podman's overlays need another file system than the machine's.
mount -t tmpfs tmpfs /var/lib/containers
rm -rf /etc/cni
mkdir -p /etc/containers
# The machine has no network for containers, and its control groups cannot count processes.
cat >/etc/containers/containers.conf <<'CONF'
[containers]
netns = "none"
pids_limit = 0
log_driver = "k8s-file"
[engine]
cgroup_manager = "systemd"
events_logger = "file"
runtime = "runc"
CONF
systemctl start dbus.socket
# A user's own podman: only crun can keep the groups of the user.
install -D /dev/stdin /home/app/.config/containers/containers.conf <<'CONF'
[containers]
netns = "none"
cgroups = "disabled"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
CONF
chown -R app /home/app/.config

# Stands in for the image debian:12-slim: a shell, the C library, and the libraries of a debug build.
image=$(mktemp -d)
mkdir -p "$image"/{bin,dev,etc,proc,root,run,sys,tmp,usr/local/bin}
cp /usr/bin/busybox "$image/bin"
for name in cat chown echo grep id kill ls ps sh sleep touch true; do ln -s busybox "$image/bin/$name"; done
ldd "$packages"/prwlock "$packages"/prwlockd | grep -o '/[^ :]*' | grep -v "^$packages" | sort -u |
    xargs cp --parents --dereference --target-directory "$image"
tar --directory "$image" --create --file /tmp/image.tar .
podman import --quiet /tmp/image.tar docker.io/library/debian:12-slim

# kubectl for a cluster of one node without Kubernetes: podman plays the pods.
kubectl() {
    case $1 in
    apply) podman play kube --network none "$3" >/dev/null ;;           # apply -f FILE
    delete) podman play kube --down "$3" >/dev/null ;;                  # delete -f FILE
    exec) podman exec "$4-$3" "${@:6}" ;;                               # exec -c CONTAINER POD -- COMMAND...
    *) return 64 ;;
    esac
}

# Only podman knows of these containers: without them, the machine shuts down at once.
trap 'podman rm --all --force --time 0 >/dev/null' EXIT
