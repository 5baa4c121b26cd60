# install.sh FOLDER PACKAGE, in a mount namespace of its own: what TestDebianPackage does.
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
cp "$2" "$1/root/pushbridge.deb"

PS4="+ \$(date +%T) "; export PS4
exec chroot "$1/root" /bin/bash -eux <<'INSIDE'
fail() { echo "$*" >&2; exit 1; }

# What other packages would do, and each fsync, takes minutes and is not ours.
dpkg() { command dpkg --force-unsafe-io --no-triggers "$@"; }

dpkg -i /pushbridge.deb
systemd-analyze verify --man=no /lib/systemd/system/pushbridge.service /lib/systemd/system/pushbridge.socket
pushbridge --version
[ "$(stat -c %U:%G:%a /etc/pushbridge/pushbridge.yml)" = root:pushbridge:640 ] || fail "the configuration is not the group's"

as_user="setpriv --reuid=pushbridge --regid=pushbridge --clear-groups"
install -d -o pushbridge -g pushbridge /var/lib/pushbridge # systemd does, for StateDirectory
export $(sed -n 's/^Environment=//p' /lib/systemd/system/pushbridge.service)
start=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/pushbridge.service)
$as_user $start --web.listen-address=127.0.0.1:0 --web.listen-address-file=/var/lib/pushbridge/address &
for i in $(seq 600); do
	[ -s /var/lib/pushbridge/address ] && $as_user pushbridge health --ready --url="$(cat /var/lib/pushbridge/address)" && break
	[ "$i" -lt 600 ] || fail "does not start"
	sleep 0.05
done
echo 'm 1' | $as_user pushbridge push --job=x --url="$(cat /var/lib/pushbridge/address)"
kill -TERM $!
wait $! || fail "exit code $?"
pushbridge queue inspect /var/lib/pushbridge

bash -euc '
	. /usr/share/bash-completion/completions/pushbridge
	complete_after() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pushbridge; echo "${COMPREPLY[@]}"; }
	[ "$(complete_after pushbridge queue ins)" = inspect ]
	[ "$(complete_after pushbridge --storage.max)" = --storage.max-bytes ]
	[ "$(complete_after pushbridge check-config --syn)" = --syntax-only ]
' || fail "completes something else"

echo '# changed' >>/etc/pushbridge/pushbridge.yml
dpkg -i /pushbridge.deb
grep -q '# changed' /etc/pushbridge/pushbridge.yml || fail "an upgrade has overwritten the configuration"
dpkg --purge pushbridge
[ ! -e /usr/bin/pushbridge ] && [ ! -e /etc/pushbridge/pushbridge.yml ] || fail "something stays"
[ -e /var/lib/pushbridge/store ] || fail "what was pushed does not stay"
echo all is well
INSIDE
