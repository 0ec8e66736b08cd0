"""What runs in a base's own sandboxes: shell scripts, and apt's settings. Pure.

Nobody but user 0 is there and no service is started; what belongs to a run alone is removed at its end.
"""

TRUSTED = "/mnt/certificates.crt"
"""Whom apt trusts, while it may reach a mirror."""
APT_CONF = f"""APT::Sandbox::User "root";
APT::Get::Assume-Yes "true";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::https::CAInfo "{TRUSTED}";
Debug::NoLocking "true";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dpkg::Use-Pty "false";
DPkg::Options {{ "--force-unsafe-io"; "--force-confdef"; "--force-confold"; }};
"""
DPKG_CONF = """path-exclude=/usr/share/man/*
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-include=/usr/share/locale/locale.alias
"""
CLEAN = """
rm -rf /var/log/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/* /run/* /root/.[!.]* || :
"""
ALL_BY_PROXY = "unset no_proxy NO_PROXY\n"
"""What is on the loopback of a sandbox is none of it: an operator's mirror may be on this machine's."""
SETTLE = f"""set -eu
{ALL_BY_PROXY}printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
mkdir -p /etc/dpkg/dpkg.cfg.d /etc/apt/apt.conf.d /etc/apt/sources.list.d
mkdir -p /var/lib/apt/lists /var/cache/apt/archives/partial
rm -f /etc/apt/apt.conf.d/docker-* /etc/apt/sources.list /etc/apt/sources.list.d/*
cat > /etc/dpkg/dpkg.cfg.d/zz-perijove <<'END'
{DPKG_CONF}END
cat > /etc/apt/apt.conf.d/zz-perijove <<'END'
{APT_CONF}END
if [ ! -s /var/lib/dpkg/status ]; then
  rm -rf /usr/share/man/?? /usr/share/man/??_* /usr/share/info/* /usr/share/locale/*
  dpkg --install --force-depends /var/cache/apt/archives/*.deb
fi
rm -f /var/cache/apt/archives/*.deb
source='Types: deb\\nURIs: %s\\nSuites: %s\\nComponents: main\\n\\n'
case $SUITE in sid|unstable) updates=;; *) updates=$SUITE-updates;; esac
{{
  printf "$source" "$MIRROR" "$SUITE $updates"
  [ -z "$SECURITY" ] || printf "$source" "$SECURITY" "$SUITE-security"
}} > /etc/apt/sources.list.d/perijove.sources
apt-get -q update
apt-get -q dist-upgrade
apt-get -q install -- $PACKAGES
rm -rf /var/tmp && ln -s /tmp /var/tmp
mkdir -p /home /mnt /opt /root /srv /root/told
dpkg-query --show > /root/told/packages
getconf GNU_LIBC_VERSION > /root/told/glibc
about='import os, sys; print("%d.%d.%d" % sys.version_info[:3], os.path.realpath(sys.executable), sys.base_prefix)'
python3 -I -S -c "$about" > /root/told/python || exit 65
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
{CLEAN}"""
UPDATE = f"""set -eu
{ALL_BY_PROXY}mkdir -p "$HOME/lists/partial"
apt-get -q -o Dir::State::lists="$HOME/lists" update
rm -rf "$HOME/lists/partial" "$HOME/lists/auxfiles"
"""
PLAN = """mkdir -p "$HOME/told"
apt-cache pkgnames > "$HOME/told/known" || exit
apt-get -q -o Acquire::ForceHash=SHA256 --print-uris install -- "$@" > "$HOME/told/uris" 2> "$HOME/told/words"
echo $? > "$HOME/told/status"
"""
FETCH = f"""set -eu
{ALL_BY_PROXY}mkdir -p "$HOME/debs"
exec "$@"
"""
INSTALL = f"""set -eu
apt-get -q install -- "$@"
{CLEAN}"""
ENVIRON = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
}
