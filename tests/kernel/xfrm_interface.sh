#!/bin/sh
# Builds the module for xfrm interfaces, which the lab's kernel comes without, from Debian's source of that kernel.
#
#     tests/kernel/xfrm_interface.sh MODULE
#
# Needs apt-get, the right to install flex, bison and bc where they are missing, and 600 MB for a minute.
set -eu

release=$(ls /usr/lib/uml/modules | tail -n 1)
source=linux-source-${release%.*}
version=$(apt-cache madison "$source" | cut -d '|' -f 2 | tr -d ' ' | grep -m 1 "^$release-" || true)
if [ -z "$version" ]; then
	echo "Debian has no $source $release here: the lab goes without xfrm interfaces" >&2
	exit 1
fi
for tool in flex bison bc; do
	command -v $tool >/dev/null || missing="${missing-} $tool"
done
if [ -n "${missing-}" ]; then
	as_root=$([ "$(id -u)" = 0 ] || echo sudo)
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi

mkdir -p "$(dirname "$1")"
module=$(realpath "$1")
work=$(mktemp -d -p "$(dirname "$module")")
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -o APT::Sandbox::User=root download -qq "$source=$version"
dpkg-deb --fsys-tarfile "$source"_*.deb | tar x "./usr/src/$source.tar.xz"
# All but what is large and not asked for.
tar xf "usr/src/$source.tar.xz" --exclude='*/drivers/*.[ch]' --exclude='*/sound/*.[ch]' --exclude='*/fs/*.[ch]' \
	--exclude='*.rst' --exclude='*.dts*'
cd "$source"
zcat /usr/share/doc/user-mode-linux/config.gz | sed 's/^# \(CONFIG_XFRM_INTERFACE\) is not set$/\1=m/' >.config
make -s ARCH=um olddefconfig modules_prepare
# Which symbols the kernel has it says itself when the module is loaded.
make -s ARCH=um M=net/xfrm KBUILD_MODPOST_WARN=1 modules 2>/dev/null
cp net/xfrm/xfrm_interface.ko "$module"
