#!/bin/sh
# build.sh NAME FOLDER puts the backend that NAME/go.mod pins into FOLDER, unless this
# version of it is there already.
set -eu
name=$1 out=$2
cd "$(dirname "$0")/$name"
# -mod=readonly is what replace lines and sums are for: what is built is what is pinned.
export GOFLAGS=-mod=readonly
package=$(sed -n 's/^tool //p' go.mod)
version=$(go list -f '{{.Module.Version}}' "$package")
kept=$out/$name-$version
# As their own releases have labels: Thanos stops at once with others.
case $name in
mimir) tags=stringlabels ;;
*) tags=slicelabels ;;
esac
if [ ! -x "$kept" ]; then
	echo "building $name $version into $out, which takes long the first time"
	mkdir -p "$out"
	go build -trimpath -ldflags '-s -w' -tags "$tags" -o "$kept.part" "$package"
	mv "$kept.part" "$kept"
fi
ln -sf "$name-$version" "$out/$name"
