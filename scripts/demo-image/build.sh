#!/usr/bin/env bash
# Builds the demo's container image, a real nginx from Debian packages, as an archive that `ctr images import` and
# `docker load` read. Nothing is installed on the host, no registry is asked.
#
# usage: build.sh ARCHIVE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
archive=$(realpath --canonicalize-missing "$1")
name=docker.io/moat/demo-nginx:1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/packages" "$work/root" "$work/image"

# nginx, the libraries it links (and those that they link), a static busybox for the tools.
packages=(nginx nginx-common busybox-static base-passwd)
libraries() {
    apt-cache depends --important "$1" | sed -nE 's/^ *(Pre)?Depends: ((lib|zlib)[^ ]*)$/\2/p'
}
frontier=(nginx)
while [ ${#frontier[@]} -gt 0 ]; do
    next=()
    for package in "${frontier[@]}"; do
        for library in $(libraries "$package"); do
            case " ${packages[*]} " in *" $library "*) ;; *)
                packages+=("$library")
                next+=("$library")
            esac
        done
    done
    frontier=("${next[@]}")
done
(cd "$work/packages" && apt-get download --quiet "${packages[@]}")

# One file system: merged /usr, as Debian's own.
root=$work/root
mkdir -p "$root"/{dev,etc,proc,root,run,sys,tmp,usr/{bin,sbin,lib,lib64},var/{www/html,log/nginx,lib/nginx}}
chmod 1777 "$root/tmp"
for folder in bin sbin lib lib64; do
    ln -s "usr/$folder" "$root/$folder"
done
for package in "$work"/packages/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar --extract --keep-directory-symlink --directory "$root"
done
rm -rf "$root"/usr/share/{doc,man,lintian,locale,bash-completion} "$root"/etc/nginx/{modules-enabled,sites-enabled}
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
cp "$here/nginx.conf" "$root/etc/nginx/nginx.conf"
cp "$here/index.html" "$root/var/www/html/index.html"

# Each tool is a file of its own, as in an image of coreutils; busybox looks at the name it was called by.
for tool in cat chmod cp dmesg id ls mv nc nslookup rm sh sleep touch wget; do
    cp "$root/usr/bin/busybox" "$root/usr/bin/$tool"
done
for attack in run-from-memory trace-process; do
    gcc -static -O2 -Wall -Werror -o "$root/usr/bin/$attack" "$here/$attack.c"
done

tar --create --file "$work/image/layer.tar" --directory "$root" \
    --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
digest() { sha256sum "$1" | cut -d' ' -f1; }
layer=$(digest "$work/image/layer.tar")
architecture=$(dpkg --print-architecture)
cat >"$work/image/config.json" <<JSON
{
  "architecture": "$architecture",
  "os": "linux",
  "config": {
    "Entrypoint": ["/usr/sbin/nginx", "-g", "daemon off;"],
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "WorkingDir": "/"
  },
  "rootfs": { "type": "layers", "diff_ids": ["sha256:$layer"] }
}
JSON
config=$(digest "$work/image/config.json")
mv "$work/image/config.json" "$work/image/$config.json"
cat >"$work/image/manifest.json" <<JSON
[{ "Config": "$config.json", "RepoTags": ["$name"], "Layers": ["layer.tar"] }]
JSON
mkdir -p "$(dirname "$archive")"
tar --create --file "$archive.part" --directory "$work/image" --sort=name --mtime=@0 manifest.json "$config.json" layer.tar
mv "$archive.part" "$archive"
